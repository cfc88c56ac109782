"""What a study chooses from: Hydra's sweeps over a key as distributions of Optuna."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from runner.errors import UserError


@dataclass(frozen=True, slots=True)
class Space:
    """The values of one key.

    Args:
        key: As it is typed, with a ``+`` where it was.
        distribution: What a value is chosen from; options are texts, as they would be typed.
    """

    key: str
    distribution: BaseDistribution

    def override(self, value: Any) -> str:
        """A value, as it would be typed."""
        return f"{self.key}={value}"

    def describe(self) -> str:
        """``0.0001 to 0.1, log`` or ``adam, sgd``."""
        found: Any = self.distribution
        if isinstance(found, CategoricalDistribution):
            return ", ".join(map(str, found.choices))
        step = f", step {found.step}" if found.step not in (None, 1) else ""
        whole = ", whole numbers" if isinstance(found, IntDistribution) and not step else ""
        return f"{found.low} to {found.high}{', log' if found.log else ''}{step}{whole}"

    def edges(self) -> list[Any]:
        """The values that are tried before a study starts: both ends of a range, and every option."""
        found: Any = self.distribution
        if isinstance(found, CategoricalDistribution):
            return list(found.choices)
        return list(dict.fromkeys([found.low, found.high]))


def spaces(overrides: Mapping[str, Override]) -> tuple[dict[str, Space], list[str]]:
    """What there is to choose from, by key, and the overrides that all runs have.

    Args:
        overrides: By key.

    Raises:
        UserError: If a range cannot be what it is tagged as.
    """
    found, fixed = {}, []
    for key, override in overrides.items():
        if override.is_sweep_override():
            found[key] = Space(override.get_key_element(), _distribution(override))
        else:
            fixed.append(str(override.input_line))
    return found, fixed


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep):
            return _range(value)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:  # Optuna's own words: a range that is empty, or log from 0
        raise UserError(f"{override.input_line} is nothing to choose from: {error}") from None


def _interval(value: IntervalSweep) -> BaseDistribution:
    assert value.start is not None
    assert value.end is not None
    log = "log" in value.tags
    if "int" in value.tags or (isinstance(value.start, int) and isinstance(value.end, int)):
        return IntDistribution(int(value.start), int(value.end), log=log)
    return FloatDistribution(float(value.start), float(value.end), log=log)


def _range(value: RangeSweep) -> BaseDistribution:
    numbers = list(value.range()) if value.step else []
    if not numbers:
        raise ValueError("it has no values")
    low, high = min(numbers), max(numbers)
    log, step = "log" in value.tags, abs(numbers[1] - numbers[0]) if len(numbers) > 1 else 1
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=log, step=int(step))
    return FloatDistribution(float(low), float(high), log=log, step=None if log else float(step))
