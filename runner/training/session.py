"""A run directory with everything in it built: what one execution works with."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from runner.config.frozen import frozen, made_by
from runner.config.schema import RunConfig
from runner.errors import UserError
from runner.parallel.group import Group
from runner.runs import provenance
from runner.runs.background import BackgroundSaver
from runner.runs.direction import direction_of
from runner.runs.directory import RunDirectory
from runner.runs.store import CheckpointStore, Retention
from runner.tracking.metrics_csv import MetricsCsv
from runner.tracking.tensorboard import TensorBoard
from runner.tracking.tracker import Tracker
from runner.training.assemble import assemble, make_plan
from runner.training.execution import Execution
from runner.training.follower import Follower
from runner.training.loop import evaluate
from runner.training.parts import Parts
from runner.training.pictures import Pictures
from runner.training.progress import Plan, Progress
from runner.training.randomness import restore_generators, start_process
from runner.training.recorder import FORMAT, Recorder
from runner.training.scores import Scores
from runner.training.signals import Stop, StopNow
from runner.training.signature import signature_of
from runner.training.start import start_from_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """One execution of a run, or the part of it that one of several processes has."""

    run: RunDirectory
    config: RunConfig
    parts: Parts
    plan: Plan
    store: CheckpointStore
    recorder: Recorder | Follower

    def restore(self) -> tuple[Progress, Scores]:
        """Go back to the newest good checkpoint: weights, generators, records; or to the start if there is none.

        Raises:
            UserError: If there are checkpoints, but none is whole, or they are of another version; or the weights to
                start from do not fit.
        """
        saved = self._newest()
        scores, progress = self.parts.new_scores(training=True), Progress()
        if saved is None:
            from_file = start_from_file(self.run, self.config.model, self.parts)
            if from_file is not None and isinstance(self.recorder, Recorder):
                self.recorder.tracker.console.note(from_file)
        else:
            progress = Progress(**saved["progress"])
            self.parts.load_state_dict(saved)
            scores.load_state_dict(saved["scores"], self._own([one["metric"] for one in saved["ranks"]]))
        self._start_generators([] if saved is None else saved["ranks"], progress.step)
        return progress, scores

    def _own(self, of_processes: list[list[T]]) -> list[T]:
        """What falls to this process of what those had that saved; there may have been more of them, or fewer."""
        group = self.parts.group
        rank, size = (0, 1) if group is None else (group.rank, group.size)
        if len(of_processes) == size:
            return of_processes[rank]
        return [one for several in of_processes for one in several][rank::size]

    def _start_generators(self, of_processes: list[dict[str, Any]], step: int) -> None:
        group = self.parts.group
        rank = 0 if group is None else group.rank
        if rank < len(of_processes):
            restore_generators(of_processes[rank]["generators"], all_gpus=group is None)
        elif rank > 0:
            start_process(self.config.seed, rank, step)

    def _newest(self) -> dict[str, Any] | None:
        """The state to go on from, which all processes have read before anything in the directory is changed."""
        group = self.parts.group
        if isinstance(self.recorder, Recorder):
            saved, damaged, path = self.store.newest()
            self._require_layout(saved)
            if group is not None:
                group.of(0, None if path is None else str(path.absolute()))
                group.wait()
            self.recorder.go_back(saved, damaged)
            return saved
        assert group is not None, "a process that trains by itself writes"
        name: str | None = group.of(0, None)
        saved = None if name is None else self.store.load(name)
        group.wait()
        return saved

    def _require_layout(self, saved: dict[str, Any] | None) -> None:
        if saved is not None and saved["format"] != FORMAT:
            raise UserError(
                f"the checkpoints in {self.run.path} have layout {saved['format']}, "
                f"and this version goes on from {FORMAT}",
                where=made_by(self.run),
                fix="runner of that version; their weights alone can be used by any: model.weights=FILE",
            )

    def finish(self, progress: Progress, stop: Stop) -> None:
        """Evaluate the best checkpoint on the test split, and sum the run up.

        Raises:
            StopNow: If a stop is requested, or was before.
        """
        if stop.requested:
            raise StopNow
        if isinstance(self.recorder, Recorder):
            self.recorder.saver.wait()
        if self.parts.group is not None:
            self.parts.group.wait()
        name = "best" if progress.best is not None else "last"
        best = self.store.load(name)
        at_best = Progress(**best["progress"])
        if self.config.training.test and self.parts.splits.test is not None:
            self.parts.load_weights(best)
            at_best.results["test"] = evaluate(self.parts, self.parts.splits.test.epoch(0), stop)
            if stop.requested:
                raise StopNow
        if isinstance(self.recorder, Recorder):
            self.recorder.sum_up(name, at_best, progress)


@contextmanager
def open_session(execution: Execution, group: Group | None = None) -> Iterator[Session]:
    """Build what a run directory describes, which its trust has checked; the event file is closed at the end.

    Args:
        execution: Of the directory.
        group: The processes that train together; None: this one trains by itself.

    Raises:
        UserError: If the data is broken, the device is missing, or parts do not fit together.
    """
    run, lock, status, console = execution.run, execution.lock, execution.status, execution.console
    config = frozen(run)
    console.note(f"run      {run.path}")
    parts = assemble(config, run.choices(), console, group)
    plan = make_plan(config, parts)
    is_divided = parts.team.has_pieces
    store = checkpoint_store(run, config, whole=not is_divided, look_at_shards=lock is not None)
    if lock is None:
        yield Session(run, config, parts, plan, store, Follower(parts, plan, run.checkpoints))
        return
    facts = {
        **provenance.surroundings(None if execution.trust.code else Path.cwd(), execution.trust.folders),
        **parts.device.facts(),
        "data": parts.splits.fingerprint,
    }
    for difference in provenance.note_execution(run.provenance_file, facts):
        console.warn(provenance.since_last_executed(difference))
    signature_of(parts.splits, parts.task).note(run.signature_file)
    tracking = config.tracking
    board = TensorBoard(run.tensorboard, console.warn, lock.glance)
    tracker = Tracker(console, MetricsCsv(run.metrics_file), board, tracking.tensorboard)
    pictures = Pictures(tracking.images, tracking.histograms_every, tracking.graph)
    if is_divided:
        pictures = replace(pictures, histograms_every=None, graph=False, masks=False)
        if tracking.tensorboard:
            console.note("board    no graph, histograms or masks in TensorBoard: no process has whole weights")
    status.epochs = plan.epochs
    status.monitor, status.direction = plan.monitor.metric, direction_of(plan.monitor.higher)
    try:
        with BackgroundSaver(store, lock.check) as saver:
            recorder = Recorder(run, lock, parts, plan, tracker, saver, status, pictures, execution.judge)
            with closing(recorder):
                yield Session(run, config, parts, plan, store, recorder)
    finally:
        tracker.close()


def checkpoint_store(run: RunDirectory, config: RunConfig, **reading: bool) -> CheckpointStore:
    """The checkpoints of a run, with its rule of what stays; read as ``read_checkpoint`` is told."""
    rule = config.checkpoint
    return CheckpointStore(run.checkpoints, Retention(rule.keep_last, rule.keep_best, rule.keep_every), **reading)
