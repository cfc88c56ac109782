"""What a run writes down while it trains: curves, rows, pictures, status and checkpoints."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from runner.errors import UserError
from runner.runs.background import BackgroundSaver
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.runs.store import Planned
from runner.tracking.console import EpochRow
from runner.tracking.tracker import Tracker
from runner.training.parts import Parts
from runner.training.pictures import Pictures
from runner.training.progress import Plan, Progress, Results
from runner.training.randomness import generator_states
from runner.training.scores import Scores

FORMAT = 2
"""Version of the checkpoint's layout."""


class Judge(Protocol):
    """Decides after every epoch whether a run goes on: in a study, the others are what it is judged by."""

    metric: str
    """What is judged, such as ``val/accuracy``; ``monitor``: the run's own."""

    def is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        """Whether to end the run, after so many epochs of those planned, with this value of the metric."""
        ...


class Recorder:
    """The loop's only way to the disk and the terminal; each method is one line of the loop."""

    def __init__(
        self,
        run: RunDirectory,
        parts: Parts,
        plan: Plan,
        tracker: Tracker,
        saver: BackgroundSaver,
        status: Status,
        pictures: Pictures,
        judge: Judge | None = None,
    ) -> None:
        self.run = run
        self.parts = parts
        self.plan = plan
        self.tracker = tracker
        self.saver = saver
        self.status = status
        self.pictures = pictures
        self.judge = judge
        self._num_batches = len(parts.splits.train)
        self._columns = _columns(parts)
        self._saved_at = time.monotonic()
        self._epoch_started = time.monotonic()
        self._seconds_before = status.epoch_seconds  # of the running epoch, in the execution before this one

    def note_place(self, progress: Progress) -> None:
        """Put into the status where training stands: on resuming, it may be ahead of the checkpoint, or lost."""
        self.status.epoch, self.status.step = progress.epoch, progress.step
        self.status.best, self.status.best_epoch = progress.best, progress.best_epoch or None

    def start_epoch(self, progress: Progress) -> None:
        """Announce the epoch, from the batch where it goes on."""
        self._epoch_started = time.monotonic() - (self._seconds_before if progress.batch else 0.0)
        self._seconds_before = 0.0
        self.tracker.console.start_epoch(progress.epoch + 1, self.plan.epochs, self._num_batches, progress.batch)

    def stepped(self, progress: Progress) -> None:
        """Note that an update is done."""
        self.tracker.console.step(progress.batch)
        if self.tracker.tensorboard is not None and self.plan.epoch_is_trained(progress, self._num_batches):
            self.pictures.end_training(self.tracker.tensorboard, self.parts, progress)

    def log(self, progress: Progress, scores: Scores, lr: float, grad_norm: Tensor | None) -> None:
        """A point of the training curve: the mean loss since the last point. Waits for the device."""
        self.saver.check()
        loss = scores.loss_since_mark()
        values = {"train/loss_step": loss, "lr": lr}
        if grad_norm is not None:
            values["train/grad_norm"] = grad_norm.item()
        self._scalars(values, progress.step)
        self.tracker.console.step(progress.batch, loss)

    def end_epoch(self, progress: Progress, is_best: bool) -> None:
        """The row of an epoch, and the pictures that are due."""
        seconds = time.monotonic() - self._epoch_started
        lr = self.parts.optimizer.param_groups[0]["lr"]
        self.append_row(progress, progress.results, lr, seconds)
        flat = flatten(progress.results)
        self._scalars(flat, progress.step)
        if self.tracker.tensorboard is not None:
            self.pictures.end_epoch(self.tracker.tensorboard, self.parts, progress)
        names = ("loss", self.parts.task.monitor, self.plan.monitor.metric.partition("/")[2])
        shown = {split: {k: v for k, v in figures.items() if k in names} for split, figures in progress.results.items()}
        self.tracker.console.end_epoch(EpochRow(progress.epoch, self.plan.epochs, shown, seconds, is_best))
        self.note_place(progress)
        self.status.metrics = flat
        self._write_status()

    def append_row(self, progress: Progress, results: Results, lr: float | None, seconds: float | None) -> None:
        """A row of ``metrics.csv``. Every row has the columns of every split, so that the header never changes."""
        self.saver.check()
        row: dict[str, Any] = {"epoch": progress.epoch, "step": progress.step, "lr": "" if lr is None else lr}
        row |= {f"{split}/{name}": results.get(split, {}).get(name, "") for split, name in self._columns}
        row["seconds"] = "" if seconds is None else round(seconds, 3)
        self.tracker.csv.append(row)

    def save_is_due(self, progress: Progress) -> bool:
        """Whether the plan wants a checkpoint within the epoch."""
        every_steps, every_minutes = self.plan.save_every_steps, self.plan.save_every_minutes
        if every_steps is not None and progress.step % every_steps == 0:
            return True
        return every_minutes is not None and time.monotonic() - self._saved_at >= 60 * every_minutes

    def save(self, progress: Progress, scores: Scores, planned: bool = True) -> None:
        """Save all that a bit-exact continuation needs: copied now, written while training goes on.

        Args:
            progress: Where training stands.
            scores: Those of the running epoch.
            planned: Whether the plan wants this checkpoint, or the run is about to stop on request.

        Raises:
            UserError: If the loss is not finite, or a weight was not at the save before this one: such a state never
                takes the place of a good one.
        """
        state = {
            "format": FORMAT,
            "progress": progress.state_dict(),
            **self.parts.state_dict(),
            "scores": scores.state_dict(),
            "generators": generator_states(),
            "tracker": self.tracker.position(),
            "normalize": self.parts.splits.normalize,
        }
        epoch = None if progress.batch else progress.epoch
        ranking = tuple(step for _, step in progress.ranking)
        vet = partial(require_finite, [name for name, _ in self.parts.model.named_parameters()])
        self.saver.save(state, Planned(progress.step, epoch, ranking) if planned else None, vet)
        self._saved_at = time.monotonic()
        self.status.epoch, self.status.step = progress.epoch, progress.step
        self.status.epoch_seconds = round(self._saved_at - self._epoch_started, 3) if progress.batch else 0.0
        self._write_status()

    def is_hopeless(self, progress: Progress) -> bool:
        """Whether the run is to end although there is something left to train."""
        if self.judge is None or self.plan.fulfilled(progress):
            return False
        metric = self.plan.monitor.metric if self.judge.metric == "monitor" else self.judge.metric
        value = flatten(progress.results)[metric]
        return self.judge.is_hopeless(progress.epoch, self.plan.epochs, value)

    def _write_status(self) -> None:
        """Note how far the run is. Not flushed: after a power cut the status is made anew from the checkpoints."""
        self.status.write(self.run.status_file, durable=False)

    def _scalars(self, values: dict[str, float], step: int) -> None:
        if self.tracker.tensorboard is not None:
            self.tracker.tensorboard.scalars(values, step)


def require_finite(weights: Sequence[str], state: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of a model that diverged.

    Args:
        weights: Names of those that must be finite; buffers may be what they like.
        state: As it would be saved, on the CPU.

    Raises:
        UserError: If a weight is infinite or not a number.
    """
    for name in weights:
        # NumPy, which takes one thread and no memory: this runs beside the training.
        values = state["model"][name].float().numpy()
        if values.size and not np.isfinite([values.min(), values.max()]).all():
            raise UserError(
                f"a weight is no longer finite after step {state['progress']['step']}",
                where=name,
                expected="finite numbers; every checkpoint is from before that step",
                fix="a smaller optimizer.lr, regularization=[clip], or device.precision=fp32",
            )


def _columns(parts: Parts) -> list[tuple[str, str]]:
    """Split and metric of every figure that a run can come to."""
    there = {"val": parts.splits.val is not None, "test": parts.splits.test is not None}
    columns = [("train", name) for name in parts.new_scores(training=True).compute() | parts.penalty_values()]
    return columns + [(split, name) for split in there if there[split] for name in parts.new_scores().compute()]


def flatten(results: Results) -> dict[str, float]:
    """``{"val": {"loss": 1}}`` as ``{"val/loss": 1}``."""
    return {f"{split}/{name}": value for split, values in results.items() for name, value in values.items()}
