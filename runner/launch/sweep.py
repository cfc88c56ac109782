"""``runner train -m``: every point of a sweep is checked first, then each becomes a run directory and is executed."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from runner.config.compose import Composed, Composer, read
from runner.config.search import CONFIG_NAME
from runner.errors import UserError, UserErrors
from runner.launch.single import freeze
from runner.runs.directory import plain_name, timestamped
from runner.runs.status import Status
from runner.tracking.formatting import duration, number, table
from runner.training.signals import StopRequest

_QUIET = ["hydra/hydra_logging=none", "hydra/job_logging=none"]


class _StoppedError(BaseException):
    """A trial was asked to stop, and the sweep ends with it. Hydra would take an Exception for a failed trial."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


def sweep(composer: Composer, typed: Sequence[str]) -> int:
    """Run every point, one after the other, through Hydra's launcher; give the exit code.

    A point that fails is marked in its own directory and does not stop the others.

    Raises:
        UserErrors: If any point is wrong; then none is started.
    """
    points = split(typed, composer.loader)
    composed = _compose_all(composer, points)
    folder = _make_folder(composed[0], typed, points)
    differing = _differing(points)
    runs: list[Path] = []
    trust = composer.places.trust(everything=True)

    def trial(_: DictConfig) -> float | None:
        from runner.training.execute import execute

        hydra = HydraConfig.get()
        point = list(hydra.overrides.task)
        values = {key.rpartition(".")[2]: value for key, value in _values(point).items() if key in differing}
        name = "-".join([f"{hydra.job.num:04d}", *(f"{key}-{value}" for key, value in values.items())])
        run = freeze(composer.compose(point), folder / "runs" / plain_name(name))
        runs.append(run.path)
        outcome = execute(run, trust, StopRequest())
        if outcome.status.state == "interrupted":
            raise _StoppedError(outcome.exit_code)
        return outcome.status.best

    print(f"sweep    {folder}: {len(points)} runs")
    code = 0
    try:
        where = [f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=."]
        composer.hydra.multirun(CONFIG_NAME, trial, [*typed, *where, *_QUIET])
    except _StoppedError as stopped:
        code = stopped.exit_code
    print(_table(runs, points, differing))
    if code:
        print(f"stopped: {len(runs)} of {len(points)} runs were started; runner resume RUN goes on with the last")
        return code
    return 1 if any(Status.read(run / "status.json").state != "completed" for run in runs) else 0


def split(typed: Sequence[str], loader: ConfigLoader) -> list[list[str]]:
    """The command lines of the points: every combination of the values given for each key.

    Raises:
        UserErrors: If something cannot be read.
    """
    unreadable = read(typed)[1]
    if unreadable:
        raise UserErrors(unreadable)
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(typed))
    return [list(point) for batch in BasicSweeper.split_arguments(overrides, None) for point in batch]


def _compose_all(composer: Composer, points: Sequence[list[str]]) -> list[Composed]:
    composed: list[Composed] = []
    errors: dict[str, UserError] = {}
    for point in points:
        try:
            composed.append(composer.compose(point))
        except UserErrors as found:
            errors |= {str(error): error for error in found.errors}
    if errors:
        raise UserErrors(list(errors.values()))
    return composed


def _make_folder(first: Composed, typed: Sequence[str], points: Sequence[list[str]]) -> Path:
    wanted = timestamped(Path(first.config["output_root"]), "sweep")
    wanted.parent.mkdir(parents=True, exist_ok=True)
    folder, number_ = wanted, 1
    while True:
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number_ += 1
            folder = wanted.with_name(f"{wanted.name}-{number_}")
    record = {"typed": list(typed), "points": [list(point) for point in points], "created": datetime.now().isoformat()}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(record, sort_keys=False))
    (folder / "runs").mkdir()
    return folder


def _values(point: Sequence[str]) -> dict[str, str]:
    return {text.partition("=")[0].lstrip("+~"): text.partition("=")[2] for text in point}


def _differing(points: Sequence[list[str]]) -> list[str]:
    by_point = [_values(point) for point in points]
    return [key for key in by_point[0] if len({values.get(key) for values in by_point}) > 1]


def _table(runs: Sequence[Path], points: Sequence[list[str]], differing: Sequence[str]) -> str:
    statuses = [Status.read(run / "status.json") for run in runs]
    metrics = list(
        dict.fromkeys(name for status in statuses for name in status.metrics if not name.startswith("train/"))
    )
    header = ["run", *differing, "state", "best", *metrics, "time"]
    rows = []
    for run, status, point in zip(runs, statuses, points, strict=False):
        values = _values(point)
        rows.append(
            [
                run.name.split("-")[0],
                *(values.get(key, "") for key in differing),
                status.state,
                "-" if status.best is None else number(status.best),
                *(number(status.metrics[name]) if name in status.metrics else "-" for name in metrics),
                duration(status.seconds),
            ]
        )
    return "\n".join(["", *table(header, rows)])
