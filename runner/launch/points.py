"""The points of a grid: the overrides of each run, from what was typed for all of them."""

import itertools
from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep

from runner.config.compose import Composed, Composer
from runner.config.sections.launching import GridSweeper, Sweeper
from runner.config.typed import read
from runner.errors import UserError, UserErrors, nearest
from runner.runs.directory import values_of

Point = list[str]
"""What would be typed for one run."""


def grid(typed: Sequence[str], sweeper: GridSweeper, loader: ConfigLoader, first_seed: int) -> list[Point]:
    """Every combination of the values given for each key; the values of zipped keys go in step.

    The last key varies first, and seeds before it.

    Args:
        typed: Overrides of the runs; they win over ``sweeper.params``.
        sweeper: The settings.
        loader: Knows the options that ``model=glob(*)`` stands for.
        first_seed: Where ``sweeper.seeds`` count from.

    Raises:
        UserErrors: If something cannot be read, has no values to combine, or zipped keys have not as many values.
    """
    overrides = parsed([*params(sweeper), *typed], loader)
    columns = {key: _values(override) for key, override in overrides.items()}
    if sweeper.seeds is not None:
        if len(columns.get("seed", [""])) > 1:
            raise UserError(
                f"seeds={sweeper.seeds} and {overrides['seed'].input_line} both say which seeds there are",
                fix=f"one of them; seeds={sweeper.seeds} counts from seed={first_seed}",
            )
        columns.pop("seed", None)
        columns["seed"] = [f"seed={first_seed + number}" for number in range(sweeper.seeds)]
    axes = _axes(columns, sweeper.zip)
    rows = [list(zip(*(columns[key] for key in keys), strict=True)) for keys in axes]
    order = list(itertools.chain(*axes))
    points = (dict(zip(order, itertools.chain(*chosen), strict=True)) for chosen in itertools.product(*rows))
    return [[point[key] for key in columns] for point in points]


def parsed(texts: Sequence[str], loader: ConfigLoader) -> dict[str, Override]:
    """Overrides by key, a later one in place of an earlier one.

    Raises:
        UserErrors: If one cannot be read.
    """
    errors = read(texts)[1]
    if errors:
        raise UserErrors(errors)
    found = OverridesParser.create(config_loader=loader).parse_overrides(list(texts))
    return {override.get_key_element().lstrip("+"): override for override in found}


def params(sweeper: Sweeper) -> list[str]:
    """The keys that the sweeper brings itself, as they would be typed."""
    texts = []
    for key, value in (sweeper.params or {}).items():
        several = ",".join(map(_typed, value)) if isinstance(value, list) else _typed(value)
        texts.append(f"{key}={several}")
    return texts


def compose_all(points: Sequence[Point], composer: Composer) -> list[Composed]:
    """The configuration of each point.

    Raises:
        UserErrors: With every mistake, each as it was seen first.
    """
    composed: list[Composed] = []
    errors: dict[str, UserError] = {}
    for point in points:
        try:
            composed.append(composer.compose(point))
        except UserErrors as found:
            errors = {error.what: error for error in found.errors} | errors
    if errors:
        raise UserErrors(list(errors.values()))
    return composed


def differing(points: Sequence[Point]) -> list[str]:
    """The keys whose values are not the same in all points."""
    by_point = [values_of(point) for point in points]
    keys = dict.fromkeys(key for one in by_point for key in one)
    return [key for key in keys if len({one.get(key) for one in by_point}) > 1]


def _typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(override: Override) -> list[str]:
    """Everything that an override stands for, each as an override of one run."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line} is a range without steps, and a grid needs values",
            fix=f"sweeper=optuna, which chooses from it; or the values themselves: {key}=A,B,C",
        )
    swept = override.value()
    stands_still = isinstance(swept, RangeSweep) and swept.step == 0
    found = [] if stands_still else [f"{key}={value}" for value in override.sweep_string_iterator()]
    if not found:
        raise UserError(f"{override.input_line} has no values", expected=f"one or more, such as {key}=A,B,C")
    return found


def _axes(columns: dict[str, list[str]], zipped: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The keys that vary together, in the order of the first of each."""
    axes: list[tuple[str, ...]] = []
    together = {key: tuple(keys) for keys in zipped for key in keys}
    for keys in zipped:
        unknown = next((key for key in keys if len(columns.get(key, ())) < 2), None)
        if unknown is not None:
            swept = [key for key in columns if len(columns[key]) > 1]
            raise UserError(
                f"sweeper.zip: {unknown} has not several values",
                expected=f"keys that are swept: {', '.join(swept) or 'there are none'}",
                nearest=nearest(unknown, swept),
            )
        counts = {key: len(columns[key]) for key in keys}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{key} has {count}" for key, count in counts.items())
            raise UserError(f"sweeper.zip: {told} values", expected="as many of each, to go in step")
    for key in columns:
        axis = together.get(key, (key,))
        if axis not in axes:
            axes.append(axis)
    return axes
