"""``runner train model.weights=FILE``: training goes on from weights that are there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from terminal import Trained
from torch import nn

from runner.cli import main
from runner.errors import UserError
from runner.models.mlp import MLP
from runner.runs.checkpoints import read_checkpoint
from runner.runs.weights import read_weights

Train = Callable[..., Trained]
SMALL = ["model.hidden=[8]", "data.split.test=1640", "data.split.val=60", "tracking.tensorboard=false", "epochs=1"]
STILL = ["optimizer=sgd", "optimizer.lr=1e-30"]
"""An optimizer that leaves every weight as it is."""


def mlp(outputs: int = 10) -> MLP:
    return MLP(
        channels=1,
        image_size=(8, 8),
        outputs=outputs,
        hidden=[8],
        activation="relu",
        output_activation="identity",
        dropout=0.0,
    )


def weights_of(run: Trained) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read_checkpoint(run.path / "checkpoints" / "last.pt")["model"]
    return found


def log_of(run: Path) -> str:
    return (run / "train.log").read_text()


def test_training_starts_from_the_weights_in_the_file(train: Train, tmp_path: Path) -> None:
    model = mlp()
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    run = train(*SMALL, *STILL, "model.weights=mine.pt")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in weights_of(run).items())
    assert "weights  mine.pt" in log_of(run.path)


def test_of_a_run_that_averaged_the_averaged_weights_are_taken(train: Train) -> None:
    first = train(*SMALL, "regularization.ema.decay=0.5")
    state = read_checkpoint(first.path / "checkpoints" / "best.pt")
    assert not torch.equal(state["model"]["output.bias"], state["averaged"]["module.output.bias"])
    run = train(*SMALL, *STILL, f"model.weights={first.path}/checkpoints/best.pt")
    assert torch.equal(weights_of(run)["output.bias"], state["averaged"]["module.output.bias"])


def test_an_average_starts_from_the_file_too(train: Train, tmp_path: Path) -> None:
    torch.save({"state_dict": nn.DataParallel(mlp()).state_dict()}, tmp_path / "mine.pt")
    run = train(*SMALL, *STILL, "model.weights=mine.pt", "regularization.ema.decay=0.5")
    state = read_checkpoint(run.path / "checkpoints" / "last.pt")
    for name, value in state["model"].items():
        torch.testing.assert_close(state["averaged"][f"module.{name}"], value, rtol=1e-6, atol=0)


def test_a_mismatch_fails_the_run_and_says_how_to_leave_it_out(train: Train, tmp_path: Path) -> None:
    torch.save(mlp(outputs=3).state_dict(), tmp_path / "three.pt")
    assert main(["train", "run_dir=failed", *SMALL, "model.weights=three.pt"]) == 1
    assert "model.weights_except=[output.*]" in log_of(tmp_path / "failed")
    assert "weight (3, 8), here (10, 8)" in log_of(tmp_path / "failed")
    run = train(*SMALL, "model.weights=three.pt", "model.weights_except=[output.*]")
    assert "not from it: output.weight, output.bias" in log_of(run.path)


def test_a_run_is_resumed_without_the_file_and_reproduced_from_the_same_one_alone(train: Train, tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    torch.save(mlp().state_dict(), file)
    run = train(*SMALL, "model.weights=mine.pt")
    assert len(json.loads((run.path / "provenance.json").read_text())["weights"]["sha256"]) == 64
    assert main(["reproduce", str(run.path)]) == 0
    torch.save({name: value + 1 for name, value in mlp().state_dict().items()}, file)
    assert main(["reproduce", str(run.path)]) == 1
    assert "mine.pt has changed since the run was made" in log_of(tmp_path / f"{run.path.name}-again-2")
    file.unlink()
    assert main(["reproduce", str(run.path)]) == 1
    assert "mine.pt cannot be read: No such file" in log_of(tmp_path / f"{run.path.name}-again-3")
    assert main(["resume", str(run.path), "epochs=2"]) == 0


def test_a_file_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(mlp().state_dict(), "mine.pt")
    assert main(["train", *SMALL, "model.weights=mien.pt"]) == 2
    assert "nearest:  mine.pt" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


class TestFiles:
    """What is read from a file, and what is not."""

    def test_weights_may_lie_among_other_things(self, tmp_path: Path) -> None:
        for key in ("state_dict", "model_state_dict", "model"):
            torch.save({"epoch": 3, key: mlp().state_dict()}, tmp_path / "x.pt")
            assert list(read_weights(tmp_path / "x.pt")) == list(mlp().state_dict())

    def test_a_file_that_pickles_code_is_refused(self, tmp_path: Path) -> None:
        torch.save(mlp(), tmp_path / "model.pt")
        with pytest.raises(UserError, match=r"could run code(.|\n)*state_dict"):
            read_weights(tmp_path / "model.pt")

    @pytest.mark.parametrize("content", [b"", b"epoch,loss\n1,2\n", b"PK\x03\x04 and so on"])
    def test_anything_else_is_told_not_to_be_weights(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "x.pt").write_bytes(content)
        with pytest.raises(UserError, match="not a file of weights, or it is damaged"):
            read_weights(tmp_path / "x.pt")

    def test_a_file_without_tensors_is_refused(self, tmp_path: Path) -> None:
        torch.save({"epoch": 3}, tmp_path / "x.pt")
        with pytest.raises(UserError, match="holds no weights"):
            read_weights(tmp_path / "x.pt")

    def test_a_damaged_checkpoint_of_a_run_is_refused(self, train: Train) -> None:
        path = train(*SMALL).path / "checkpoints" / "last.pt"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged"):
            read_weights(path)

    def test_safetensors_are_read_where_the_library_is_there(self, tmp_path: Path) -> None:
        safetensors = pytest.importorskip("safetensors.torch")
        safetensors.save_file(mlp().state_dict(), tmp_path / "x.safetensors")
        assert list(read_weights(tmp_path / "x.safetensors")) == sorted(mlp().state_dict())
        (tmp_path / "x.safetensors").write_bytes(b"123")
        with pytest.raises(UserError, match=r"whole \.safetensors"):
            read_weights(tmp_path / "x.safetensors")
