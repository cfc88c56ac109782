"""A device without enough memory: what was used, and what to change."""

from pathlib import Path

import pytest
import torch
from faults import before, checkpoint, done, status_of, train

from runner.runs.directory import RunDirectory
from runner.training.failures import out_of_memory

SAID = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB."


def fail() -> None:
    raise torch.OutOfMemoryError(f"{SAID}\nSee the documentation")


def train_out_of_memory(where: str, number: int) -> int:
    from runner.models.mlp import MLP
    from runner.training.gradient import EagerGradient

    owner, name = {"forward": (MLP, "forward"), "gradient": (EagerGradient, "add")}[where]
    before(owner, name, fail, number)
    return train()


@pytest.mark.parametrize(
    ("where", "number"), [("forward", 1), ("gradient", 6)], ids=["when the model is tried out", "in a step"]
)
def test_a_run_out_of_memory_says_what_to_change(home: Path, where: str, number: int) -> None:
    code, text = done(home, train_out_of_memory, where, number)
    assert code == 1
    assert (
        "the device is out of memory: 0.0 GiB were in use at the most, "
        "with data.batch_size=315 and data.eval_batch_size=256\n"
        f"  where:    {SAID}\n"
        "  fix:      data.batch_size=157 with training.accumulate=2 needs half of it; device.precision=bf16 halves the "
        "activations; in an evaluation, a smaller data.eval_batch_size\n"
    ) in text
    assert "Traceback" not in text
    status = status_of(home / "run")
    assert (status.state, (status.error or "")[:28]) == ("failed", "the device is out of memory:")
    if where == "gradient":
        assert checkpoint(home / "run" / "checkpoints" / "last.pt")["progress"]["step"] == 4


def message(tmp_path: Path, batch_size: int) -> str:
    (tmp_path / "config.yaml").write_text(
        f"data: {{batch_size: {batch_size}, eval_batch_size: 7}}\ntraining: {{accumulate: 3}}\n"
    )
    return str(out_of_memory(RunDirectory(tmp_path), torch.OutOfMemoryError("CUDA out of memory.")))


def test_the_peak_is_that_of_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: int(7.25 * 2**30))
    assert "7.2 GiB were in use at the most, with data.batch_size=64" in message(tmp_path, 64)
    assert "data.batch_size=32 with training.accumulate=6 needs half of it" in message(tmp_path, 64)


def test_a_batch_of_one_sample_cannot_be_halved(tmp_path: Path) -> None:
    assert "data.batch_size=0" not in message(tmp_path, 1)
    assert "\n  fix:      device.precision=bf16 halves the activations; " in message(tmp_path, 1)


def train_in_256_mb() -> int:
    """Adam's share of 25 million weights alone takes 200 MB."""
    torch.cuda.set_per_process_memory_fraction(2**28 / torch.cuda.get_device_properties(0).total_memory)
    return train("device=cuda", "model.hidden=[5000,5000]")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_run_that_really_has_no_memory_says_how_much_it_used(home: Path) -> None:
    code, text = done(home, train_in_256_mb)
    assert code == 1
    assert "the device is out of memory: " in text
    assert "0.0 GiB" not in text
