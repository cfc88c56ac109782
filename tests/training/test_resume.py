"""An interruption is not an event: a run stopped anywhere and taken up again equals the run that was left alone."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.runs.store import CheckpointStore, Retention
from runner.training.execute import Outcome
from runner.training.execute import execute as execute_with
from runner.training.progress import Progress
from runner.training.recorder import Recorder
from runner.training.signals import StopRequest
from runner.trust import Trust

NewRun = Callable[..., RunDirectory]

SMALL = ("epochs=3", "data.batch_size=200", "model.hidden=[16]", "tracking.log_every=2", "tracking.graph=false")
"""Seven steps an epoch on the digits."""


def stop_at(monkeypatch: pytest.MonkeyPatch, *steps: int, number: int = signal.SIGTERM) -> None:
    """Have this process sent a signal when it has done these steps."""
    stepped = Recorder.stepped

    def stepped_then_signal(self: Recorder, progress: Progress) -> None:
        stepped(self, progress)
        if progress.step in steps:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Recorder, "stepped", stepped_then_signal)


def execute(run: RunDirectory) -> Outcome:
    """Execute a run of one's own in this process."""
    return execute_with(run, Trust((), everything=True), StopRequest())


def execute_to_the_end(run: RunDirectory) -> list[int]:
    """Execute and resume until the run is complete; the exit codes."""
    codes = [execute(run).exit_code]
    while codes[-1] == 75:
        codes.append(execute(run).exit_code)
    return codes


def result(run: RunDirectory) -> dict[str, Any]:
    """Everything that a run came to, but for times and places."""
    state = CheckpointStore(run.checkpoints, Retention(2, 1, None)).load("last")
    state.pop("tracker")  # byte counts of files that hold times
    rows = list(csv.DictReader(run.metrics_file.read_text().splitlines()))
    for row in rows:
        row.pop("seconds")
    status = Status.read(run.status_file)
    return {
        "last": state,
        "best": CheckpointStore(run.checkpoints, Retention(2, 1, None)).load("best")["model"],
        "rows": rows,
        "events": events(run.tensorboard),
        "status": (status.state, status.epoch, status.step, status.best, status.best_epoch, status.metrics),
    }


def events(folder: Path) -> list[tuple[str, int, bytes]]:
    """Every (tag, step, value) that TensorBoard reads, in the order of the files."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return sorted(
        (value.tag, event.step, value.SerializeToString(deterministic=True))
        for file in sorted(folder.iterdir())
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    )


def assert_identical(one: Any, other: Any, where: str = "") -> None:
    """Equal to the last bit, however nested."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(
            one.view(torch.uint8) if one.ndim else one, other.view(torch.uint8) if other.ndim else other
        ), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_identical(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_identical(left, right, f"{where}[{number}]")
    else:
        assert one == other or (one != one and other != other), f"{where}: {one} and {other}"


CASES = {
    "plain": [],
    "sgd with momentum and a schedule": ["optimizer=sgd", "optimizer.momentum=0.9", "scheduler=cosine"],
    "dropout": ["model.dropout=0.5"],
    "accumulation over a last window that is shorter": ["training.accumulate=2"],
    "sequential order, last batch dropped": ["data.order=sequential", "data.drop_last=true"],
    "early stopping": ["regularization=[early_stopping,clip]", "regularization.early_stopping.patience=1"],
    "bf16": ["device.precision=bf16"],
    "fp16 with a scaler": ["device.precision=fp16"],
    "max_steps within an epoch": ["max_steps=17"],
    "no validation": ["data.split.val=0"],
    "averaged weights": ["regularization=[ema]"],
    "mixup": ["regularization=[mixup]"],
    "balanced order": ["data.order=balanced"],
    "weighted order": ["data.order=weighted", "data.class_weights=[1,2,3,4,5,5,4,3,2,1]", "data.num_samples=900"],
    "two workers": ["data.workers=2"],
    "augmentation": ["data.augment=[{_target_:runner.data.augment.Shift,pixels:1,padding:zeros}]"],
}


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
@pytest.mark.parametrize("steps", [(1,), (7,), (10, 11, 12)], ids=str)
def test_a_run_stopped_and_resumed_equals_the_run_left_alone(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, overrides: list[str], steps: tuple[int, ...]
) -> None:
    alone = new_run(*SMALL, *overrides)
    assert execute(alone).exit_code == 0
    stopped = new_run(*SMALL, *overrides)
    stop_at(monkeypatch, *steps)
    assert execute_to_the_end(stopped) == [75] * len(steps) + [0]
    assert_identical(result(stopped), result(alone))
