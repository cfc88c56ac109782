"""A loss or a gradient that is not finite: the run stops and says where, or leaves that update out exactly."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
import torch
from faults import after_step, checkpoint, done, result, resume, send, status_of, train
from torch import Tensor

from runner.data.loader import Batch

BATCH_NORM = ("model=convnet", "model.widths=[2]", "model.batch_norm=true", "model.dropout=0")
SKIP = (*BATCH_NORM, "training.nonfinite=skip")


class InfiniteGradient(torch.autograd.Function):
    """Passes its input on, and gives it an infinite gradient."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * torch.inf


FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "nan": lambda loss: loss * torch.nan,
    "inf": lambda loss: loss + torch.inf,
    "infinite gradient": InfiniteGradient.apply,
}


def with_fault(fault: str, step: int, act: Callable[..., int], *args: Any) -> int:
    """Do something while the loss of one step is wrong; the samples of its last batch are noted in a file."""
    from runner.training import loop, parts

    train_step, of_task, steps = loop.train_step, parts._of_task, [0]

    def counted(parts: Any, window: list[Batch], progress: Any, *others: Any) -> Any:
        steps[0] = progress.step + 1
        if steps[0] == step:
            Path("samples").write_text(json.dumps(window[-1].indices.tolist()))
        return train_step(parts, window, progress, *others)

    def breaking(*made_of: Any) -> Any:
        loss = of_task(*made_of)

        def broken(outputs: Tensor, targets: Tensor) -> Tensor:
            value = loss(outputs, targets)
            return FAULTS[fault](value) if torch.is_grad_enabled() and steps[0] == step else value

        return broken

    loop.train_step = counted
    parts._of_task = breaking
    return act(*args)


def rows(home: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((home / "run" / "metrics.csv").read_text().splitlines()))


def is_finite(state: dict[str, Any]) -> bool:
    return all(bool(weight.isfinite().all()) for weight in state["model"].values())


@pytest.mark.parametrize("fault", ["nan", "inf"])
def test_a_loss_that_is_not_finite_ends_the_run_and_is_told_with_its_step_and_samples(home: Path, fault: str) -> None:
    code, text = done(home, with_fault, fault, 7, train, "data.batch_size=315")
    assert code == 1
    samples = json.loads((home / "samples").read_text())
    assert len(samples) == 315
    listed = ", ".join(map(str, samples[:5]))
    assert f"the loss of step 7 is {fault}\n  where:    the batch of 315 samples {listed}, ... (310 more)\n" in text
    assert "every checkpoint is from before that step" in text
    assert "Traceback" not in text
    assert status_of(home / "run").state == "failed"
    assert (status_of(home / "run").error or "").startswith(f"the loss of step 7 is {fault}\n")
    last = checkpoint(home / "run" / "checkpoints" / "last.pt")
    assert (last["progress"]["step"], is_finite(last)) == (4, True)
    assert [row["epoch"] for row in rows(home)] == ["1"]


@pytest.mark.parametrize(
    ("step", "overrides", "told"),
    [
        (7, [], "the loss of step 8 is nan"),
        (7, ["regularization.clip_norm=1"], "the loss of step 8 is nan"),
        (7, ["checkpoint.every_steps=7"], "the loss of step 8 is nan"),
        (12, [], "a weight is no longer finite after step 12"),
    ],
    ids=["at the next step", "clipped", "where it would be saved", "at the last step"],
)
def test_weights_that_are_no_longer_finite_are_never_saved(
    home: Path, step: int, overrides: list[str], told: str
) -> None:
    code, text = done(home, with_fault, "infinite gradient", step, train, *overrides)
    assert code == 1
    assert told in text
    assert "Traceback" not in text
    kept = [checkpoint(file) for file in (home / "run" / "checkpoints").iterdir()]
    assert max(state["progress"]["step"] for state in kept) == 4 * ((step - 1) // 4)
    assert all(map(is_finite, kept))


def without_window(number: int, *overrides: str) -> int:
    """Train as if there were no such batch, or such batches of one update."""
    from runner.training import loop

    windows, seen = loop.windows, [0]

    def fewer(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
        for window in windows(batches, size):
            seen[0] += 1
            if seen[0] != number:
                yield window

    loop.windows = fewer  # type: ignore[assignment]
    return train(*overrides)


@pytest.mark.parametrize(
    ("fault", "overrides"),
    [
        ("nan", ("optimizer=adam",)),
        ("inf", ("optimizer=sgd", "optimizer.momentum=0.9", "regularization.clip_norm=1")),
        ("nan", ("data.batch_size=150", "training.accumulate=2")),
        ("nan", ("regularization=[ema]",)),
        ("infinite gradient", ("optimizer=adam",)),
        ("infinite gradient", ("data.batch_size=150", "training.accumulate=2", "regularization.clip_norm=1")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_skipped_update_leaves_everything_as_if_its_batch_had_not_been_there(
    tmp_path: Path, fault: str, overrides: tuple[str, ...]
) -> None:
    skipping, without = tmp_path / "skipping", tmp_path / "without"
    skipping.mkdir()
    without.mkdir()
    assert done(skipping, with_fault, fault, 7, train, *SKIP, *overrides)[0] == 0
    assert done(without, without_window, 7, *SKIP, *overrides)[0] == 0
    one, other = (result(folder / "run")["checkpoints"]["last.pt"] for folder in (skipping, without))
    compared = [name for name in one if name.split(".")[1] in ("model", "averaged", "optimizer")]
    assert len(compared) > 20
    assert {name: one[name] for name in compared} == {name: other[name] for name in compared}
    assert [row["train/skipped"] for row in rows(skipping)] == ["0", "1", "0", ""]
    assert [row["train/skipped"] for row in rows(without)] == ["0", "0", "0", ""]
    assert [row["train/loss"] for row in rows(skipping)] == [row["train/loss"] for row in rows(without)]


def stop_after(step: int, act: Callable[..., int], *args: Any) -> int:
    after_step(step, send(SIGTERM))
    return act(*args)


def test_skipped_updates_are_exact_under_resume(tmp_path: Path) -> None:
    alone, stopped = tmp_path / "alone", tmp_path / "stopped"
    alone.mkdir()
    stopped.mkdir()
    assert done(alone, with_fault, "nan", 6, train, *SKIP)[0] == 0
    assert done(stopped, stop_after, 5, with_fault, "nan", 6, train, *SKIP)[0] == 75
    for step in (6, 7):
        assert done(stopped, stop_after, step, with_fault, "nan", 6, resume)[0] == 75
    assert done(stopped, resume)[0] == 0
    assert result(stopped / "run") == result(alone / "run")
    assert [row["train/skipped"] for row in rows(stopped)] == ["0", "1", "0", ""]


def test_a_run_that_was_stopped_by_a_loss_can_go_on_by_skipping_it(home: Path) -> None:
    assert done(home, with_fault, "nan", 7, train, *BATCH_NORM)[0] == 1
    assert done(home, with_fault, "nan", 7, resume)[0] == 1, "it comes again at the same step"
    code, text = done(home, with_fault, "nan", 7, resume, "training.nonfinite=skip")
    assert code == 0, text
    assert [row["train/skipped"] for row in rows(home)] == ["", "1", "0", ""]
