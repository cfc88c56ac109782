"""What a run writes down while it trains: curves, rows, pictures, status and checkpoints."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from runner.config.leaves import leaves
from runner.errors import UserError
from runner.runs.background import BackgroundSaver
from runner.runs.directory import RunDirectory
from runner.runs.loadable import require_loadable
from runner.runs.lock import RunLock
from runner.runs.status import Status
from runner.runs.store import Planned
from runner.tracking.console import EpochRow
from runner.tracking.tracker import Tracker
from runner.training.coming import Coming
from runner.training.curve import Curve, Point
from runner.training.due_saves import DueSaves
from runner.training.parts import Parts
from runner.training.pictures import Pictures
from runner.training.progress import Plan, Progress, Results
from runner.training.records import Judge, of_processes
from runner.training.scores import Scores
from runner.typed import typed

FORMAT = 4
"""Version of the checkpoint's layout."""


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
        self._began, self._spent_before = time.monotonic(), status.seconds  # in the executions before this one
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
        progress = Progress() if saved is None else Progress(**saved["progress"])
        self.saver.store.forget_after(progress.step, [step for _, step in progress.ranking])
        self.tracker.rewind(None if saved is None else saved["tracker"])
        if saved is not None:
            self.tracker.console.note(f"resume   after step {progress.step:,}, in epoch {progress.epoch + 1}")
        self.note_place(progress)
        self._write_status()

    def note_place(self, progress: Progress) -> None:
        """Put into the status where training stands: on resuming, it may be ahead of the checkpoint, or lost."""
        self.status.epoch, self.status.step = progress.epoch, progress.step
        self.status.best, self.status.best_epoch = progress.best, progress.best_epoch or None
        self.status.metrics = flatten(progress.results)

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
        self.tracker.scalars(flatten(progress.results), progress.step)
        if self.tracker.tensorboard is not None:
            self.pictures.end_epoch(self.tracker.tensorboard, self.parts, progress)
        names = ("loss", self.parts.task.monitor, self.plan.monitor.metric.partition("/")[2])
        shown = {split: {k: v for k, v in figures.items() if k in names} for split, figures in progress.results.items()}
        self.tracker.console.end_epoch(EpochRow(progress.epoch, self.plan.epochs, shown, seconds, is_best))
        self.note_place(progress)
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
        if team.has_pieces:
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
        weights = [name for name, _ in self.parts.model.named_parameters()]

        def vet(state: dict[str, Any]) -> None:
            require_loadable(state)
            require_finite(weights, state)

        self.saver.save(state, Planned(progress.step, epoch, ranking) if planned else None, vet)
        now = self._due.restart()
        self.note_place(progress)
        self.status.epoch_seconds = round(now - self._epoch_started, 3) if progress.batch else 0.0
        self._write_status()

    def is_hopeless(self, progress: Progress) -> bool:
        if not progress.has_ended_epoch:
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
                *([("curves", typed("tensorboard", "--logdir", self.run.tensorboard))] if board is not None else []),
                ("again", self._evaluation(name)),
            ],
        )

    def _evaluation(self, name: str) -> str:
        """The command that evaluates the checkpoint that counts, on the test split where there is one."""
        *_, split = self.parts.splits.by_name
        checkpoint = () if name == "best" else ("--checkpoint", name)
        return typed("runner", "eval", self.run.path, *checkpoint, *(() if split == "test" else ("--split", split)))

    def _write_status(self) -> None:
        """Note how far the run is. Not flushed: after a power cut the status is made anew from the checkpoints."""
        self.status.seconds = round(self._spent_before + time.monotonic() - self._began, 3)  # if it should be killed
        self.status.write(self.run.status_file, durable=False)


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
    trained = parts.figures(training=True) + (parts.penalties.names if parts.penalties else [])
    evaluated = parts.figures()
    return [(split, name) for split in parts.splits.by_name for name in (trained if split == "train" else evaluated)]


def flatten(results: Results) -> dict[str, float]:
    """``{"val": {"loss": 1}}`` as ``{"val/loss": 1}``."""
    return {f"{split}/{name}": value for split, values in results.items() for name, value in values.items()}
