"""A run directory with everything in it built: what one execution works with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.config.frozen import frozen, made_by
from runner.config.leaves import leaves
from runner.config.schema import RunConfig
from runner.errors import UserError
from runner.runs import provenance
from runner.runs.background import BackgroundSaver
from runner.runs.direction import direction_of
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock
from runner.runs.status import Status
from runner.runs.store import CheckpointStore, Retention
from runner.tracking.console import Console
from runner.tracking.metrics_csv import MetricsCsv
from runner.tracking.tensorboard import TensorBoard
from runner.tracking.tracker import Tracker
from runner.training.assemble import assemble, make_plan
from runner.training.loop import evaluate
from runner.training.parts import Parts
from runner.training.pictures import Pictures
from runner.training.progress import Plan, Progress
from runner.training.randomness import restore_generators
from runner.training.recorder import FORMAT, Judge, Recorder, flatten
from runner.training.scores import Scores
from runner.training.signature import signature_of
from runner.training.start import start_from_file
from runner.trust import Trust


@dataclass(frozen=True, slots=True)
class Session:
    """One execution of a run."""

    run: RunDirectory
    config: RunConfig
    parts: Parts
    plan: Plan
    tracker: Tracker
    saver: BackgroundSaver
    recorder: Recorder

    def restore(self) -> tuple[Progress, Scores]:
        """Go back to the newest good checkpoint: weights, generators, records; or to the start if there is none.

        Raises:
            UserError: If there are checkpoints, but none is whole, or they are of another version; or the weights to
                start from do not fit.
        """
        saved, damaged = self.saver.store.newest()
        for line in damaged:
            self.tracker.console.warn(line)
        self.run.remove_leftovers()
        scores = self.parts.new_scores(training=True)
        if saved is None:
            self.saver.store.forget_after(0)
            self.tracker.rewind(None)
            from_file = start_from_file(self.run, self.config.model, self.parts)
            if from_file is not None:
                self.tracker.console.note(from_file)
            return Progress(), scores
        if saved["format"] != FORMAT:
            raise UserError(
                f"the checkpoints in {self.run.path} have layout {saved['format']}, "
                f"and this version goes on from {FORMAT}",
                where=made_by(self.run),
                fix="runner of that version; their weights alone can be used by any: model.weights=FILE",
            )
        self.parts.load_state_dict(saved)
        scores.load_state_dict(saved["scores"])
        progress = Progress(**saved["progress"])
        self.saver.store.forget_after(progress.step, [step for _, step in progress.ranking])
        self.tracker.rewind(saved["tracker"])
        self.tracker.console.note(f"resume   after step {progress.step:,}, in epoch {progress.epoch + 1}")
        restore_generators(saved["generators"])
        self.recorder.note_place(progress)
        return progress, scores

    def finish(self, progress: Progress) -> None:
        """Evaluate the best checkpoint on the test split, and sum the run up."""
        self.saver.wait()
        name = "best" if progress.best is not None else "last"
        best = self.saver.store.load(name)
        at_best = Progress(**best["progress"])
        results = at_best.results
        if self.config.training.test and self.parts.splits.test is not None:
            self.parts.load_weights(best)
            results["test"] = evaluate(self.parts, self.parts.splits.test.epoch(0))
            self.recorder.append_row(at_best, {"test": results["test"]}, None, None)
        flat = flatten(results)
        self.recorder.status.metrics = flat
        if self.tracker.tensorboard is not None:
            parameters = sum(parameter.numel() for parameter in self.parts.model.parameters())
            known = {key: value for key, value in leaves(self.run.config()).items() if value is not None}
            chosen = {group: option for group, option in self.run.choices().items() if option is not None}
            settings = {**chosen, **known, "parameters": parameters}
            self.tracker.tensorboard.hparams(settings, {f"final/{k}": v for k, v in flat.items()}, progress.step)
        board = self.tracker.tensorboard is not None
        self.tracker.console.summary(
            f"{name} epoch, {at_best.epoch} of {progress.epoch} (by {self.plan.monitor.metric})",
            results,
            [
                ("run", str(self.run.path)),
                *([("curves", f"tensorboard --logdir {self.run.tensorboard}")] if board else []),
                ("again", f"runner eval {self.run.path}"),
            ],
        )


@contextmanager
def open_session(
    run: RunDirectory, status: Status, trust: Trust, lock: RunLock, console: Console, judge: Judge | None = None
) -> Iterator[Session]:
    """Build what a run directory describes, which ``trust`` has checked; the event file is closed at the end.

    Raises:
        UserError: If the data is broken, the device is missing, or parts do not fit together.
    """
    config = frozen(run)
    console.note(f"run      {run.path}")
    parts = assemble(config, run.choices(), console)
    facts = {
        **provenance.surroundings(Path.cwd(), trust.folders),
        **parts.device.facts(),
        "data": parts.splits.fingerprint,
    }
    for difference in provenance.note_execution(run.provenance_file, facts):
        console.warn(f"since the run was last executed: {difference}")
    signature_of(parts.splits, parts.task).note(run.signature_file)
    plan = make_plan(config, parts)
    tracking = config.tracking
    board = TensorBoard(run.tensorboard, console.warn) if tracking.tensorboard else None
    tracker = Tracker(console, MetricsCsv(run.metrics_file), board)
    store = checkpoint_store(run, config)
    pictures = Pictures(tracking.images, tracking.histograms_every, tracking.graph)
    status.epochs = plan.epochs
    status.monitor, status.direction = plan.monitor.metric, direction_of(plan.monitor.higher)
    try:
        with BackgroundSaver(store, lock.check) as saver:
            recorder = Recorder(run, parts, plan, tracker, saver, status, pictures, judge)
            yield Session(run, config, parts, plan, tracker, saver, recorder)
    finally:
        tracker.close()


def checkpoint_store(run: RunDirectory, config: RunConfig) -> CheckpointStore:
    """The checkpoints of a run, with its rule of what stays."""
    rule = config.checkpoint
    return CheckpointStore(run.checkpoints, Retention(rule.keep_last, rule.keep_best, rule.keep_every))
