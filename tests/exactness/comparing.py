"""What tests of exactness share: executing a run, stopping it, copying it, and comparing two to the last bit."""

import csv
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.runs.store import give_name
from runner.training.execute import Outcome
from runner.training.execute import execute as execute_with
from runner.training.progress import Progress
from runner.training.recorder import Recorder
from runner.training.signals import StopRequest
from runner.trust import Trust

NewRun = Callable[..., RunDirectory]


def execute(run: RunDirectory) -> Outcome:
    """Execute a run of one's own in this process."""
    return execute_with(run, Trust((), everything=True), StopRequest())


def execute_to_the_end(run: RunDirectory) -> list[int]:
    """Execute and resume until the run is complete; the exit codes."""
    codes = [execute(run).exit_code]
    while codes[-1] == 75:
        codes.append(execute(run).exit_code)
    return codes


def stop_at(monkeypatch: pytest.MonkeyPatch, *steps: int, number: int = signal.SIGTERM) -> None:
    """Have this process sent a signal when it has done these steps."""
    stepped = Recorder.stepped

    def stepped_then_signal(self: Recorder, progress: Progress) -> None:
        stepped(self, progress)
        if progress.step in steps:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Recorder, "stepped", stepped_then_signal)


def copied_as_of(run: RunDirectory, checkpoint: str, to: Path) -> RunDirectory:
    """A copy of a run that went on after a checkpoint, as if that were the last one it had saved.

    Its rows and curves are those of the whole run: whoever goes on from the checkpoint has to take them back.
    """
    shutil.copytree(run.path, to)
    copied = RunDirectory(to)
    for later in copied.checkpoints.glob("step-*.pt"):
        if later.name.split("-")[1][:8] > checkpoint.split("-")[1][:8]:
            later.unlink()
    give_name(copied.checkpoints / checkpoint, copied.checkpoints / "last.pt")
    return copied


def result(run: RunDirectory) -> dict[str, Any]:
    """Everything that a run came to, but for times and places."""
    status = Status.read(run.status_file)
    return {
        "checkpoints": {path.name: checkpoint(path) for path in sorted(run.checkpoints.iterdir())},
        "rows": rows(run),
        "events": events(run.tensorboard),
        "graphs": sum(event.HasField("graph_def") for event in _records(run.tensorboard)),
        "status": (status.state, status.epoch, status.step, status.best, status.best_epoch, status.metrics),
        "temporary files": sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*.tmp")),
    }


def checkpoint(path: Path) -> dict[str, Any]:
    """All that a checkpoint holds, but for the sizes of event files: their number is that of the executions."""
    state = read_checkpoint(path)
    state["tracker"].pop("events")
    return state


def rows(run: RunDirectory) -> list[dict[str, str]]:
    """The rows of ``metrics.csv`` as they are written, but for the seconds."""
    with run.metrics_file.open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def events(folder: Path) -> list[tuple[str, int, bytes]]:
    """Every (tag, step, value) that TensorBoard reads, by tag and step; none may be there twice."""
    found = [
        (value.tag, event.step, value.SerializeToString(deterministic=True))
        for event in _records(folder)
        for value in event.summary.value
    ]
    twice = [point for point, count in Counter((tag, step) for tag, step, _ in found).items() if count > 1]
    assert not twice, f"TensorBoard reads these more than once: {twice}"
    return sorted(found)


def _records(folder: Path) -> list[Any]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    files = sorted(folder.iterdir()) if folder.exists() else []
    return [event for file in files for event in EventFileLoader(str(file)).Load()]


def assert_identical(one: Any, other: Any, where: str = "") -> None:
    """Equal to the last bit, however nested."""
    assert type(one) is type(other), f"{where}: {type(one)} and {type(other)}"
    if isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), where
        assert torch.equal(bits(one), bits(other)), f"{where}: the tensors differ"
    elif isinstance(one, dict):
        assert list(one) == list(other), f"{where}: {list(one)} and {list(other)}"
        for key in one:
            assert_identical(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), f"{where}: {len(one)} and {len(other)} entries"
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_identical(left, right, f"{where}[{number}]")
    else:
        # Not one == other alone: NaN equals NaN here, and 0.0 does not equal -0.0.
        assert repr(one) == repr(other), f"{where}: {one} and {other}"


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """(num_bytes,) uint8: what tells -0.0 from 0.0, and lets NaN equal NaN."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def before(owner: Any, name: str, act: Callable[[], None], number: int = 1) -> None:
    """Have ``act`` called once, just before the ``number``-th call of a function or method, from now on."""
    original = getattr(owner, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            act()
        return original(*args, **kwargs)

    setattr(owner, name, counted)
