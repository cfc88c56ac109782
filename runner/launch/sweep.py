"""``runner train -m``: everything is checked first, then the runs get their directories and are executed."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.compose import Composed, Composer
from runner.config.launching import launching
from runner.config.sections.launching import (
    AnyLauncher,
    AnySweeper,
    GridSweeper,
    LocalLauncher,
    OptunaSweeper,
    SlurmLauncher,
)
from runner.config.shorthand import is_of_sweeps
from runner.errors import UserError
from runner.launch import pool
from runner.launch.ending import conclude
from runner.launch.local import run_here, share_out, with_threads
from runner.launch.points import Point, compose_all, differing, grid
from runner.launch.single import freeze
from runner.launch.slots import Slots
from runner.launch.slurm.jobs import Jobs
from runner.launch.view import SweepView
from runner.launch.work import AllAtOnce
from runner.runs.directory import timestamped, values_of
from runner.runs.lock import RunLock
from runner.runs.status import now
from runner.runs.sweep_directory import SweepDirectory, SweepRecord, create
from runner.tracking.formatting import counted, table

if TYPE_CHECKING:
    from runner.launch.study_sweep import Question


def sweep(composer: Composer, typed: Sequence[str], dry_run: bool) -> int:
    """Make a sweep and run it; give the exit code: 1 if a run failed, 75 or 130 if it was stopped.

    Raises:
        UserErrors: If anything is wrong; then nothing is started or written.
    """
    settings = launching(composer, typed)
    if isinstance(settings.sweeper, OptunaSweeper):
        return _study(composer, typed, settings.sweeper, settings.launcher, dry_run)
    return _grid(composer, typed, settings.sweeper, settings.launcher, dry_run)


def _grid(composer: Composer, typed: Sequence[str], sweeper: GridSweeper, launcher: AnyLauncher, dry_run: bool) -> int:
    if not dry_run and isinstance(launcher, LocalLauncher):
        pool.warm_up()
    points = _points(composer, typed, sweeper)
    composed = compose_all(points, composer)
    _refuse_run_dir(composed[0])
    keys = differing(points)
    if dry_run:
        print(_plan(points, keys))
        return 0
    if isinstance(launcher, SlurmLauncher):
        return _submit(composer, typed, sweeper, launcher, points, composed)
    slots = share_out(launcher.n_jobs, len(points), [one.config["device"] for one in composed])
    record = _record(typed, sweeper, launcher, slots, keys, len(points), points)
    made = _made(record, [with_threads(one, slots.threads) for one in composed])
    print(f"sweep    {made.path}: {counted(len(points))}, {slots.describe()}", flush=True)
    trust = composer.places.trust(everything=True)
    with RunLock(made.path):
        runs = AllAtOnce(made.runs().values())
        return conclude(made, run_here(runs, slots, launcher.retries, trust, SweepView.of(made)))


def _submit(
    composer: Composer,
    typed: Sequence[str],
    sweeper: GridSweeper,
    launcher: SlurmLauncher,
    points: list[Point],
    composed: Sequence[Composed],
) -> int:
    """Make the sweep and leave it to the cluster; nothing is left behind where that refuses it."""
    from runner.launch.slurm.options import require_together, threads
    from runner.launch.slurm.sweep import launch
    from runner.launch.slurm.task import typed_trust

    for one in composed:
        require_together(launcher, one.config["device"])
    _require_cluster(launcher)
    record = _record(typed, sweeper, launcher, None, differing(points), len(points), points)
    made = _made(record, [with_threads(one, threads(launcher, one.config["device"])) for one in composed])
    with _removed_unless_submitted(made):
        print(f"sweep    {made.path}: {counted(len(points))}", flush=True)
        return launch(made, launcher, typed_trust(composer.places, [one.config for one in composed]), made.runs())


def _require_cluster(launcher: SlurmLauncher) -> None:
    """Make sure that jobs with these settings can be submitted from here."""
    from runner.launch.slurm.client import require_slurm
    from runner.launch.slurm.options import require_consistent

    require_consistent(launcher)
    require_slurm()


@contextmanager
def _removed_unless_submitted(made: SweepDirectory) -> Iterator[None]:
    try:
        yield
    except Exception:
        if Jobs.of(made.path) is None:
            shutil.rmtree(made.path)
        raise


def _made(record: SweepRecord, composed: Sequence[Composed]) -> SweepDirectory:
    """A new sweep directory, with those of its runs."""

    def fill(draft: SweepDirectory) -> None:
        for number, one in enumerate(composed):
            own = values_of(one.typed)
            freeze(one, draft.place(number, [(key, own.get(key, "")) for key in record.keys]))

    return create(_place_of(composed[0]), record, fill)


def _study(
    composer: Composer, typed: Sequence[str], sweeper: OptunaSweeper, launcher: AnyLauncher, dry_run: bool
) -> int:
    from runner.launch.study_sweep import Question  # optuna takes a while to import
    from runner.launch.trials import Trials

    pool.warm_up(*(["runner.launch.study"] if sweeper.pruner != "none" else []))
    question = Question.read(composer, typed, sweeper)
    edges = question.check()
    first = edges[0]
    _refuse_run_dir(first)
    question = question.decided(first.config)
    if dry_run:
        print(f"{question.describe()}; nothing was started (--dry-run)")
        return 0
    if isinstance(launcher, SlurmLauncher):
        return _submit_study(typed, launcher, question, edges)
    slots = share_out(launcher.n_jobs, question.num_runs, [first.config["device"]])
    made = _begin_study(typed, launcher, slots, question, first)
    print(f"sweep    {made.path}: {counted(question.num_runs)}, {slots.describe()}", flush=True)
    view = SweepView.of(made)
    trust = composer.places.trust(everything=True)
    with RunLock(made.path):
        trials = Trials(made, question, lambda one: with_threads(one, slots.threads), view.say)
        return conclude(made, run_here(trials, slots, launcher.retries, trust, view), trials.num_failed)


def _submit_study(
    typed: Sequence[str], launcher: SlurmLauncher, question: "Question", edges: Sequence[Composed]
) -> int:
    """Make the sweep and leave it to the cluster; nothing is left behind where that refuses it."""
    from runner.launch.slurm.study import launch, require_one_process
    from runner.launch.slurm.task import typed_trust

    require_one_process(launcher)
    _require_cluster(launcher)
    made = _begin_study(typed, launcher, None, question, edges[0])
    with _removed_unless_submitted(made):
        print(f"sweep    {made.path}: {counted(question.num_runs)}", flush=True)
        trust = typed_trust(question.composer.places, [one.config for one in edges])
        return launch(made, launcher, trust, question.num_trials)


def _begin_study(
    typed: Sequence[str], launcher: AnyLauncher, slots: Slots | None, question: "Question", first: Composed
) -> SweepDirectory:
    """The sweep directory of a study, with the files from which its points are composed."""
    from runner.launch.study_sweep import keep_conf

    record = _record(typed, question.settings, launcher, slots, question.keys, question.num_runs, None)
    places, outputs = question.composer.places, Path(first.config["output_root"])
    return create(_place_of(first), record, lambda draft: keep_conf(draft, places, outputs))


def _record(
    typed: Sequence[str],
    sweeper: AnySweeper,
    launcher: AnyLauncher,
    slots: Slots | None,
    keys: list[str],
    planned: int,
    points: list[Point] | None,
) -> SweepRecord:
    return SweepRecord(
        created=now(),
        typed=list(typed),
        keys=keys,
        planned=planned,
        points=points,
        threads=slots.threads if slots else 1,
        sweeper=sweeper.model_dump(by_alias=True),
        launcher=launcher.model_dump(by_alias=True) | ({"n_jobs": len(slots.variables)} if slots else {}),
    )


def _place_of(first: Composed) -> Path:
    """Where a sweep goes, if nobody else wants one there at the same instant: ``output_root/DATE/TIME-sweep``."""
    return timestamped(Path(first.config["output_root"]), "sweep")


def _points(composer: Composer, typed: Sequence[str], sweeper: GridSweeper) -> list[Point]:
    of_runs = [text for text in typed if not is_of_sweeps(text)]
    first_seed = 0
    if sweeper.seeds is not None:
        one_of_all = grid(of_runs, sweeper.model_copy(update={"seeds": None}), composer.files.loader, 0)[0]
        first_seed = int(composer.compose(one_of_all).config["seed"])
    return grid(of_runs, sweeper, composer.files.loader, first_seed)


def _refuse_run_dir(first: Composed) -> None:
    taken = first.config["run_dir"]
    if taken is not None:
        problem = f"run_dir={taken} is one directory, and a sweep makes one for each run"
        raise UserError(problem, fix="output_root=FOLDER")


def _plan(points: Sequence[Point], keys: Sequence[str]) -> str:
    """The runs of a sweep as a table."""
    rows = [[f"{number:04d}", *(values_of(point).get(key, "") for key in keys)] for number, point in enumerate(points)]
    return "\n".join([*table(["run", *keys], rows), "", f"{counted(len(points))}; nothing was started (--dry-run)"])
