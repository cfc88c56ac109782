"""runner's own loop, in this process, with everything that a run has: run directory, curves, rows, bar, checkpoints."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.config.compose import Composer
from runner.config.paths import Places
from runner.data.loader import Batch, Batches
from runner.launch.single import freeze
from runner.runs.lock import RunLock
from runner.runs.status import Status
from runner.tracking.console import Console
from runner.training.execution import Execution
from runner.training.loop import train
from runner.training.parts import Parts
from runner.training.progress import Plan, Progress
from runner.training.recorder import Recorder
from runner.training.session import open_session
from runner.training.signals import StopRequest


class ReadyMade:
    """Stands in for ``parts.splits.train``: batches that exist already."""

    def __init__(self, batches: Any, split: Batches) -> None:
        self._batches = batches
        self.indices, self.batch_size = split.indices, split.batch_size
        self.first, self.some = split.first, split.some

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(self._batches)


class Turns:
    """Batches from a generator, with their number: between two of them the caller measures something else."""

    def __init__(self, make: Callable[[], Iterator[Any]], size: int) -> None:
        self._make = make
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return self._make()


@dataclass
class OwnLoop:
    """A run whose epochs are trained one by one."""

    parts: Parts
    plan: Plan
    recorder: Recorder
    progress: Progress

    def train_epoch(self) -> float:
        """Train an epoch, as ``runner train`` does, until its checkpoint is on the disk; its mean training loss."""
        plan = replace(self.plan, epochs=self.progress.epoch + 1)
        scores = self.parts.new_scores(training=True)
        train(self.parts, plan, self.progress, scores, self.recorder, StopRequest())
        self.recorder.saver.wait()
        return float(self.progress.results["train"]["loss"])

    def without_validation(self) -> None:
        """Train from now on without validation; ``monitor`` must be a figure of the training split."""
        self.parts.splits = replace(self.parts.splits, val=None)

    def train_on(self, batches: Any) -> float:
        """Train an epoch on ready-made batches; its mean training loss."""
        splits = self.parts.splits
        stand_in = ReadyMade(batches, splits.train)
        self.parts.splits = replace(splits, train=stand_in)  # type: ignore[arg-type]
        old = self.recorder
        self.recorder = Recorder(
            old.run, old.lock, self.parts, old.plan, old.tracker, old.saver, old.status, old.pictures
        )
        return self.train_epoch()


@contextmanager
def own_loop(folder: Path, *typed: str) -> Iterator[OwnLoop]:
    """The loop of ``runner train TYPED...``, with a progress bar that is drawn but not seen."""
    places = Places.find(None, folder)
    run = freeze(Composer(places).compose([*typed, f"run_dir={folder / 'run'}"]))
    status = Status.read(run.status_file)
    with open(os.devnull, "w") as nowhere, RunLock(run.path) as lock:
        console = Console(nowhere, fancy=True, log_file=run.log_file)
        execution = Execution(run, places.trust(everything=True), StopRequest(), lock, status, console)
        with open_session(execution) as session:
            progress, _ = session.restore()
            yield OwnLoop(session.parts, session.plan, session.recorder, progress)
