"""What a run writes down while it trains: curves, rows, pictures, status and checkpoints.

Where several processes train together, one of them writes. The others go through the same points, and do as much there
as takes all of them.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from runner.config.leaves import leaves
from runner.errors import UserError
from runner.runs.background import BackgroundSaver
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock
from runner.runs.status import Status
from runner.runs.store import Planned
from runner.tracking.console import EpochRow
from runner.tracking.tracker import Tracker
from runner.training.coming import Coming
from runner.training.curve import Curve, Point
from runner.training.parts import Parts
from runner.training.pictures import Pictures
from runner.training.progress import Plan, Progress, Results
from runner.training.randomness import generator_states
from runner.training.scores import Scores

FORMAT = 4
"""Version of the checkpoint's layout."""


class Judge(Protocol):
    """Decides after every epoch whether a run goes on: in a study, the others are what it is judged by."""

    metric: str
    """What is judged, such as ``val/accuracy``; ``monitor``: the run's own."""

    def is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        """Whether to end the run, after so many epochs of those planned, with this value of the metric."""
        ...


class Records(Protocol):
    """The loop's only way to the disk and the terminal; each method is one line of the loop."""

    def start_epoch(self, progress: Progress) -> None:
        """Announce the epoch, from the batch where it goes on."""

    def stepped(self, progress: Progress) -> None:
        """Note that an update is done."""

    def log(self, progress: Progress, scores: Scores, lr: float, grad_norm: Tensor | None) -> None:
        """A point of the training curve: the mean loss since the last point, written as soon as the device gives it."""

    def end_epoch(self, progress: Progress, is_best: bool) -> None:
        """The row of an epoch, and the pictures that are due."""

    def save_is_due(self, progress: Progress) -> bool:
        """Whether the plan wants a checkpoint within the epoch. Asked once a step."""

    def save(self, progress: Progress, scores: Scores, planned: bool = True) -> None:
        """Save all that a bit-exact continuation needs.

        Args:
            progress: Where training stands.
            scores: Those of the running epoch.
            planned: Whether the plan wants this checkpoint, or the run is about to stop on request.

        Raises:
            UserError: If the loss is not finite, or a weight was not at the save before this one: such a state never
                takes the place of a good one.
        """

    def is_hopeless(self, progress: Progress) -> bool:
        """Whether the run is to end although there is something left to train."""


class Recorder:
    """What the process does that writes."""

    def __init__(
        self,
        run: RunDirectory,
        lock: RunLock,
        parts: Parts,
        plan: Plan,
        tracker: Tracker,
        saver: BackgroundSaver,
        status: Status,
        pictures: Pictures,
        judge: Judge | None = None,
    ) -> None:
        self.run = run
        self.lock = lock
        self.parts = parts
        self.plan = plan
        self.tracker = tracker
        self.saver = saver
        self.status = status
        self.pictures = pictures
        self.judge = judge
        self._num_batches = len(parts.splits.train)
        self._columns = _columns(parts)
        self._due = DueSaves(plan, parts)
        self._curve = Curve(tracker)
        self._epoch_started = time.monotonic()
        self._seconds_before = status.epoch_seconds  # of the running epoch, in the execution before this one

    def go_back(self, saved: Mapping[str, Any] | None, damaged: Sequence[str]) -> None:
        """Let all records be as they were at a checkpoint, or at the start if there is none.

        Args:
            saved: The state that the run goes on from.
            damaged: A line on each checkpoint that was passed over.
        """
        for line in damaged:
            self.tracker.console.warn(line)
        self.run.remove_leftovers()
        if saved is None:
            self.saver.store.forget_after(0)
            self.tracker.rewind(None)
            return
        progress = Progress(**saved["progress"])
        self.saver.store.forget_after(progress.step, [step for _, step in progress.ranking])
        self.tracker.rewind(saved["tracker"])
        self.tracker.console.note(f"resume   after step {progress.step:,}, in epoch {progress.epoch + 1}")
        self.note_place(progress)

    def note_place(self, progress: Progress) -> None:
        """Put into the status where training stands: on resuming, it may be ahead of the checkpoint, or lost."""
        self.status.epoch, self.status.step = progress.epoch, progress.step
        self.status.best, self.status.best_epoch = progress.best, progress.best_epoch or None

    def start_epoch(self, progress: Progress) -> None:
        self._epoch_started = time.monotonic() - (self._seconds_before if progress.batch else 0.0)
        self._seconds_before = 0.0
        self.tracker.console.start_epoch(progress.epoch + 1, self.plan.epochs, self._num_batches, progress.batch)

    def stepped(self, progress: Progress) -> None:
        self._curve.glance()
        self.tracker.console.step(progress.batch)
        if self.tracker.tensorboard is not None and self.plan.epoch_is_trained(progress, self._num_batches):
            self.pictures.end_training(self.tracker.tensorboard, self.parts, progress)

    def log(self, progress: Progress, scores: Scores, lr: float, grad_norm: Tensor | None) -> None:
        norm = None if grad_norm is None else Coming([grad_norm])
        self._curve.add(Point(progress.step, lr, scores.loss.mark(), norm))

    def close(self) -> None:
        """Write what is still to be written, whatever has gone wrong."""
        self._curve.close()

    def end_epoch(self, progress: Progress, is_best: bool) -> None:
        self._curve.flush()
        seconds = time.monotonic() - self._epoch_started
        lr = self.parts.optimizer.param_groups[0]["lr"]
        self.append_row(progress, progress.results, lr, seconds)
        flat = flatten(progress.results)
        self.tracker.scalars(flat, progress.step)
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
        self.lock.check()
        row: dict[str, Any] = {"epoch": progress.epoch, "step": progress.step, "lr": "" if lr is None else lr}
        row |= {f"{split}/{name}": results.get(split, {}).get(name, "") for split, name in self._columns}
        row["seconds"] = "" if seconds is None else round(seconds, 3)
        self.tracker.csv.append(row)

    def save_is_due(self, progress: Progress) -> bool:
        return self._due.at(progress.step)

    def save(self, progress: Progress, scores: Scores, planned: bool = True) -> None:
        """Save all that a bit-exact continuation needs: copied now, written while training goes on."""
        self._curve.flush()
        team, folder = self.parts.team, self.saver.store.folder
        state = self.parts.state_dict()
        if team is not None:
            self.saver.wait()  # it removes what no checkpoint names, as does not what is written now
            self.lock.check()
            state = team.save(state, folder, progress.step)
        state = {
            "format": FORMAT,
            "progress": progress.state_dict(),
            **state,
            "scores": scores.state_dict(),
            "ranks": of_processes(self.parts, scores),
            "tracker": self.tracker.position(),
            "normalize": self.parts.splits.normalize,
        }
        epoch = None if progress.batch else progress.epoch
        ranking = tuple(step for _, step in progress.ranking)
        vet = partial(require_finite, [name for name, _ in self.parts.model.named_parameters()])
        self.saver.save(state, Planned(progress.step, epoch, ranking) if planned else None, vet)
        now = self._due.restart()
        self.status.epoch, self.status.step = progress.epoch, progress.step
        self.status.epoch_seconds = round(now - self._epoch_started, 3) if progress.batch else 0.0
        self._write_status()

    def is_hopeless(self, progress: Progress) -> bool:
        if self.plan.fulfilled(progress):
            return False
        is_hopeless = self.judge is not None and self._asked(self.judge, progress)
        return is_hopeless if self.parts.group is None else self.parts.group.of(0, is_hopeless)

    def _asked(self, judge: Judge, progress: Progress) -> bool:
        metric = self.plan.monitor.metric if judge.metric == "monitor" else judge.metric
        return judge.is_hopeless(progress.epoch, self.plan.epochs, flatten(progress.results)[metric])

    def sum_up(self, name: str, at_best: Progress, progress: Progress) -> None:
        """Tell what the run came to: in the status, for a comparison in TensorBoard, and on the terminal.

        Args:
            name: Of the checkpoint that counts: ``best``, or ``last``.
            at_best: Its progress; with the figures of the test split, where that was evaluated.
            progress: That at the end.
        """
        results, board = at_best.results, self.tracker.tensorboard
        if "test" in results:
            self.append_row(at_best, {"test": results["test"]}, None, None)
        flat = flatten(results)
        self.status.metrics = flat
        if board is not None:
            parameters = sum(parameter.numel() for parameter in self.parts.model.parameters())
            known = {key: value for key, value in leaves(self.run.config()).items() if value is not None}
            chosen = {group: option for group, option in self.run.choices().items() if option is not None}
            settings = {**chosen, **known, "parameters": parameters}
            board.hparams(settings, {f"final/{k}": v for k, v in flat.items()}, progress.step)
        self.tracker.console.summary(
            f"{name} epoch, {at_best.epoch} of {progress.epoch} (by {self.plan.monitor.metric})",
            results,
            [
                ("run", str(self.run.path)),
                *([("curves", f"tensorboard --logdir {self.run.tensorboard}")] if board is not None else []),
                ("again", f"runner eval {self.run.path}"),
            ],
        )

    def _write_status(self) -> None:
        """Note how far the run is. Not flushed: after a power cut the status is made anew from the checkpoints."""
        self.status.write(self.run.status_file, durable=False)


class Follower:
    """What every other process does, which writes nothing."""

    def __init__(self, parts: Parts, plan: Plan, checkpoints: Path) -> None:
        self.parts = parts
        self.plan = plan
        self._checkpoints = checkpoints
        self._due = DueSaves(plan, parts)

    def start_epoch(self, progress: Progress) -> None:
        return None

    def stepped(self, progress: Progress) -> None:
        return None

    def log(self, progress: Progress, scores: Scores, lr: float, grad_norm: Tensor | None) -> None:
        scores.loss.mark()

    def end_epoch(self, progress: Progress, is_best: bool) -> None:
        return None

    def save_is_due(self, progress: Progress) -> bool:
        return self._due.at(progress.step)

    def save(self, progress: Progress, scores: Scores, planned: bool = True) -> None:
        assert self.parts.team is not None
        self.parts.team.save(self.parts.state_dict(), self._checkpoints, progress.step)
        scores.state_dict()
        of_processes(self.parts, scores)
        self._due.restart()

    def is_hopeless(self, progress: Progress) -> bool:
        if self.plan.fulfilled(progress):
            return False
        assert self.parts.group is not None
        return self.parts.group.of(0, False)


def of_processes(parts: Parts, scores: Scores) -> list[dict[str, Any]]:
    """What each process has for itself, by rank, for the one that writes: generators, and what its metric counted."""
    of_this = {"generators": generator_states(parts.group is None), "metric": scores.metric_states()}
    return [of_this] if parts.group is None else parts.group.at_first(of_this)


class DueSaves:
    """Tells after which updates, and after how many minutes, the plan wants a checkpoint; all processes alike.

    Args:
        plan: Of the run.
        parts: Of the run.
    """

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self._every_steps = plan.save_every_steps
        self._every_minutes = plan.save_every_minutes
        have_to_agree = parts.group if self._every_minutes is not None else None
        self._vote = None if have_to_agree is None else have_to_agree.vote()
        self._has_voted = False
        self.restart()

    def restart(self) -> float:
        """Note a save; give the seconds of the clock."""
        self._saved_at = time.monotonic()
        return self._saved_at

    def at(self, step: int) -> bool:
        """Whether one is due. Asked once a step."""
        has_time_passed = self._every_minutes is not None and self._has_time_passed(self._every_minutes)
        return has_time_passed or (self._every_steps is not None and step % self._every_steps == 0)

    def _has_time_passed(self, minutes: float) -> bool:
        has_passed = time.monotonic() - self._saved_at >= 60 * minutes
        if self._vote is None:
            return has_passed
        self._has_voted = has_passed and not self._has_voted  # one yes is enough, and known at the next step
        return bool(self._vote(self._has_voted))


def require_finite(weights: Sequence[str], state: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of a model that diverged.

    Args:
        weights: Names of those that must be finite; buffers may be what they like.
        state: As it would be saved, on the CPU.

    Raises:
        UserError: If a weight is infinite or not a number.
    """
    for name in weights:
        if name not in state["model"]:  # of which each process has looked at its piece
            continue
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
    columns = [
        ("train", name) for name in [*parts.figures(training=True), *(parts.penalties.names if parts.penalties else ())]
    ]
    return columns + [(split, name) for split in there if there[split] for name in parts.figures()]


def flatten(results: Results) -> dict[str, float]:
    """``{"val": {"loss": 1}}`` as ``{"val/loss": 1}``."""
    return {f"{split}/{name}": value for split, values in results.items() for name, value in values.items()}
