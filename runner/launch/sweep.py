"""``runner train -m``: every point is checked first, then all become run directories, and these are executed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.config.compose import Composed, Composer
from runner.config.launching import launching
from runner.config.sections.launching import GridSweeper
from runner.config.shorthand import is_of_sweeps
from runner.errors import UserError, UserErrors
from runner.launch import pool
from runner.launch.ending import conclude
from runner.launch.local import run_here, share_out
from runner.launch.points import Point, differing, grid, values
from runner.launch.single import freeze
from runner.runs.directory import timestamped
from runner.runs.status import now
from runner.runs.sweep_directory import SweepDirectory, SweepRecord
from runner.tracking.formatting import table


def sweep(composer: Composer, typed: Sequence[str], dry_run: bool) -> int:
    """Make a sweep and run it; give the exit code: 1 if a run failed, 75 or 130 if it was stopped.

    Raises:
        UserErrors: If any point is wrong; then none is started, and nothing is written.
    """
    settings = launching(composer, typed)
    of_runs = [text for text in typed if not is_of_sweeps(text)]
    if not dry_run:
        pool.warm_up()
    assert isinstance(settings.sweeper, GridSweeper)
    points = _points(composer, of_runs, settings.sweeper)
    composed = _compose_all(composer, points)
    keys = differing(points)
    if dry_run:
        print(_plan(points, keys))
        return 0
    slots = share_out(settings.launcher.n_jobs, len(points), [one.config["device"] for one in composed])
    made = make_folder(Path(composed[0].config["output_root"]))
    made.write(
        SweepRecord(
            created=now(),
            typed=list(typed),
            keys=keys,
            planned=len(points),
            points=points,
            sweeper=settings.sweeper.model_dump(by_alias=True),
            launcher={**settings.launcher.model_dump(by_alias=True), "n_jobs": len(slots.variables)},
        )
    )
    for number, one in enumerate(composed):
        own = values(points[number])
        freeze(with_threads(one, slots.threads), made.place(number, [(key, own.get(key, "")) for key in keys]))
    print(f"sweep    {made.path}: {len(points)} runs, {slots.describe()}", flush=True)
    stop = run_here(made, slots, settings.launcher.retries, composer.places.trust(everything=True))
    return conclude(made, stop)


def make_folder(root: Path) -> SweepDirectory:
    """A new sweep directory, ``root/DATE/TIME-sweep``; of two made at the same instant, each has its own.

    Raises:
        UserError: If it cannot be made.
    """
    wanted = timestamped(root, "sweep")
    number = 1
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        while True:
            made = SweepDirectory(wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}"))
            try:
                made.path.mkdir()
                break
            except FileExistsError:
                number += 1
        made.runs_folder.mkdir()
    except OSError as error:
        raise UserError(
            f"the sweep directory {wanted} cannot be made: {error.strerror}", fix="output_root=FOLDER"
        ) from error
    return made


def with_threads(composed: Composed, threads: int) -> Composed:
    """The configuration of a run with its share of the processor, unless it says itself how many threads it takes.

    The number is frozen with the rest: sums that other numbers of threads add up differ in the last bit.
    """
    device = composed.config["device"]
    if device["threads"] is not None:
        return composed
    return Composed({**composed.config, "device": {**device, "threads": threads}}, composed.choices, composed.typed)


def _points(composer: Composer, typed: Sequence[str], sweeper: GridSweeper) -> list[Point]:
    first_seed = 0
    if sweeper.seeds is not None:
        one_of_all = grid(typed, sweeper.model_copy(update={"seeds": None}), composer.loader, 0)[0]
        first_seed = int(composer.compose(one_of_all).config["seed"])
    return grid(typed, sweeper, composer.loader, first_seed)


def _compose_all(composer: Composer, points: Sequence[Point]) -> list[Composed]:
    composed: list[Composed] = []
    errors: dict[str, UserError] = {}
    for point in points:
        try:
            composed.append(composer.compose(point))
        except UserErrors as found:
            errors |= {str(error): error for error in found.errors}
    taken: Any = next((one.config["run_dir"] for one in composed if one.config["run_dir"] is not None), None)
    if taken is not None:
        errors["run_dir"] = UserError(
            f"run_dir={taken} is one directory, and a sweep makes one for each run", fix="output_root=FOLDER"
        )
    if errors:
        raise UserErrors(list(errors.values()))
    return composed


def _plan(points: Sequence[Point], keys: Sequence[str]) -> str:
    """The runs of a sweep as a table."""
    rows = [[f"{number:04d}", *(values(point).get(key, "") for key in keys)] for number, point in enumerate(points)]
    return "\n".join([*table(["run", *keys], rows), "", f"{len(points)} runs; nothing was started (--dry-run)"])
