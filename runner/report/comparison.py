"""What differs between runs, and what came of it."""

import fnmatch
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.errors import UserError, listing, nearest
from runner.report.facts import Facts, known_to_none
from runner.report.runs import Entry, Found, FoundSweep, Objective, best_of, objectives_of, runs_of
from runner.report.where import no_such_name
from runner.runs.directory import values_of

NAMES = ("name", "run_dir", "output_root")
"""Settings that say what a run is called."""
_OF_RECORDS = (*NAMES, "tracking", "checkpoint")
"""Settings, or groups of them, of what a run is called and what it keeps: nothing that is trained depends on them."""
_OF_SPEED = (
    "device.threads",
    *(f"data.{name}" for name in ("cache", "cache_dir", "workers", "prefetch_factor", "persistent_workers")),
    *(f"data.{name}" for name in ("pin_memory", "timeout", "eval_batch_size")),
)
"""Settings that are compared only where somebody typed them: what is trained does not depend on them."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A metric over several runs."""

    mean: float
    std: float | None
    """Standard deviation of a sample (divided by n - 1); None of a single value."""
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean | None":
        """That of some values; None of none."""
        if not values:
            return None
        if not all(map(math.isfinite, values)):
            return cls(math.nan, math.nan if len(values) > 1 else None, len(values))
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True, slots=True)
class Row:
    """A run in a comparison."""

    facts: Facts
    label: str
    """What it is called here: the end of its path, as far as that tells it from the others."""
    values: dict[str, Any]
    """Of each setting that differs; None where the run has none."""

    @property
    def run(self) -> Found:
        """The run."""
        return self.facts.run


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in nothing but what is averaged over; one that repeats another of them is left out."""

    rows: tuple[Row, ...]
    values: dict[str, Any]
    """Of each setting that differs, without those that are averaged over."""

    @property
    def complete(self) -> list[Row]:
        """The runs that count for its means: those that came to their end."""
        return [row for row in self.rows if row.run.state == "completed"]

    def mean(self, metric: str) -> Mean | None:
        """A metric over the runs that are complete."""
        found = (row.run.metric(metric) for row in self.complete)
        return Mean.of([value for value in found if value is not None])


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some runs side by side."""

    rows: tuple[Row, ...]
    keys: tuple[str, ...]
    """Groups and settings that differ between the runs."""
    metrics: tuple[str, ...]
    objectives: tuple[Objective, ...]
    """What decides which is the best; empty where that is not the same for all."""
    over: tuple[str, ...]
    """The settings that are averaged over."""
    groups: tuple[Group, ...]

    @property
    def best(self) -> Row | None:
        """The best run by the first objective."""
        if not self.objectives:
            return None
        best = best_of([row.run for row in self.rows], self.objectives[0])
        return next((row for row in self.rows if row.run is best), None)

    @property
    def best_group(self) -> Group | None:
        """The group whose mean of the first objective is the best."""
        best: tuple[float, Group] | None = None
        for group in self.groups if self.objectives else ():
            found = group.mean(self.objectives[0].metric)
            if found is not None and (best is None or self.objectives[0].better(found.mean, best[0])):
                best = found.mean, group
        return None if best is None else best[1]

    @property
    def has_replicates(self) -> bool:
        """Whether any group has more than one run, so that there is something to average."""
        return any(len(group.rows) > 1 for group in self.groups)


def compare(found: Sequence[Entry], metrics: Sequence[str] = (), over: Sequence[str] = ("seed",)) -> Comparison:
    """Compare runs.

    Args:
        found: Runs and sweeps.
        metrics: Names, or shell patterns of names, of those to show; none: the loss and the monitored metric of the
            validation and test splits.
        over: Settings to average over.

    Raises:
        UserError: If no run has such a metric or setting.
    """
    runs = runs_of(found)
    facts = [Facts(run) for run in runs]
    unknown = [key for key in known_to_none(facts, over) if key != "seed"]
    if unknown:
        raise no_such_name(f"--over {unknown[0]}", unknown[0], facts)
    objectives = _objectives(found, runs)
    keys = differing(facts)
    labels = labels_of(runs)
    rows = tuple(
        Row(one, label, {key: value_of(one, key) for key in keys}) for one, label in zip(facts, labels, strict=True)
    )
    return Comparison(
        rows=rows,
        keys=tuple(keys),
        metrics=tuple(_metrics(runs, metrics, objectives)),
        objectives=objectives,
        over=tuple(over),
        groups=tuple(_groups(rows, keys, over)),
    )


def value_of(run: Facts, key: str) -> Any:
    """The option chosen in a group, or the value of a setting."""
    return run.choices[key] if key in run.choices else run.settings.get(key)


def differing(runs: Sequence[Facts]) -> list[str]:
    """The groups and settings in which some runs differ, as they were typed, and without what follows from others.

    Where another option is chosen in a group, the settings of the group that this option brings are left out: those
    that nobody typed and that are the same wherever the option is. So are options that another one brings, such as the
    data of a model. A run whose record cannot be read differs in nothing: it would in everything.
    """
    typed = _typed(runs)
    runs = [run for run in runs if run.settings and run.choices] or runs[:1]
    groups = _unequal([run.choices for run in runs])
    typed_groups = [group for group in groups if group in typed]

    def is_shown(key: str) -> bool:
        if key in typed or not _counts(key, typed):
            return _counts(key, typed)
        others = typed_groups if key in groups else [own for own in groups if key.startswith(f"{own}.")]
        return not _follows(runs, key, others)

    found = [key for key in (*groups, *_unequal([run.settings for run in runs])) if is_shown(key)]
    return [*(key for key in typed if key in found), *(key for key in found if key not in typed)]


def _typed(runs: Iterable[Facts]) -> dict[str, None]:
    """The keys that were typed for any run, in their order."""
    return dict.fromkeys(key for run in runs for key in values_of(run.typed))


def _counts(key: str, typed: Iterable[str]) -> bool:
    """Whether a setting says anything of what was trained, or was meant to be compared."""
    of_records = key in _OF_RECORDS or key.partition(".")[0] in _OF_RECORDS
    return not of_records and (key not in _OF_SPEED or key in typed)


def differences(one: Facts, other: Facts) -> dict[str, tuple[Any, Any]]:
    """Every group and setting in which two runs differ, with the value of each."""
    keys = (*_unequal([one.choices, other.choices]), *_unequal([one.settings, other.settings]))
    return {key: (value_of(one, key), value_of(other, key)) for key in keys if key not in NAMES}


def _unequal(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that have not the same value, or none, in all of some mappings."""
    first, *others = mappings
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    missing = object()
    return [key for key in keys if any(mapping.get(key, missing) != first.get(key, missing) for mapping in others)]


def _follows(runs: Sequence[Facts], key: str, others: Sequence[str]) -> bool:
    """Whether the value of a key is the same wherever those of some others are."""
    found: dict[str, Any] = {}
    return bool(others) and all(
        found.setdefault(_identity(run, others), value_of(run, key)) == value_of(run, key) for run in runs
    )


def _identity(run: Facts, keys: Iterable[str]) -> str:
    return json.dumps([value_of(run, key) for key in keys], default=str)


def _groups(rows: Sequence[Row], keys: Sequence[str], over: Sequence[str]) -> list[Group]:
    """Runs that have the same settings but for those in ``over``, in the order of their first ones.

    One that repeats another of them is left out: it is no second draw, and would make the deviation smaller.
    """
    typed = _typed([row.facts for row in rows])
    of_all = [key for key in _unequal([row.facts.settings for row in rows]) if key not in over and _counts(key, typed)]
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_identity(row.facts, of_all), []).append(row)
    kept = [key for key in keys if key not in over]
    return [
        Group(tuple(_without_repetitions(group, over)), {key: group[0].values[key] for key in kept})
        for group in found.values()
    ]


def _without_repetitions(rows: Sequence[Row], over: Sequence[str]) -> list[Row]:
    points = [_identity(row.facts, over) for row in rows]
    counts = Counter(points)
    # Who repeats another is looked for where a point is there twice: it takes a file more.
    repeating = [counts[point] > 1 and row.facts.is_repetition for row, point in zip(rows, points, strict=True)]
    originals = {point for point, is_repetition in zip(points, repeating, strict=True) if not is_repetition}
    return [
        row
        for row, point, is_repetition in zip(rows, points, repeating, strict=True)
        if not (is_repetition and point in originals)
    ]


def labels_of(runs: Sequence[Found]) -> list[str]:
    """What to call each run: its number in its sweep, or its folder; with so many folders above as tell them apart."""
    names = [_names(run) for run in runs]
    for count in range(1, max(map(len, names)) + 1):
        labels = ["/".join(one[-count:]) for one in names]
        if len(set(labels)) == len(labels):
            return labels
    return [str(run.path) for run in runs]


def _names(run: Found) -> list[str]:
    """The folders that lead to a run; of one in a sweep, the number for its own, and without that of all runs."""
    _, *above, name = run.path.absolute().parts
    number = name.partition("-")[0]
    return [*above[:-1], number] if above and above[-1] == "runs" and number.isdigit() else [*above, name]


def _objectives(found: Sequence[Entry], runs: Sequence[Found]) -> tuple[Objective, ...]:
    """Those of the sweep where one sweep is all that is compared; else what all runs monitor."""
    if len(found) == 1 and isinstance(found[0], FoundSweep):
        return found[0].objectives
    return objectives_of(runs)


def _metrics(runs: Sequence[Found], wanted: Sequence[str], objectives: Sequence[Objective]) -> list[str]:
    there = list(dict.fromkeys(name for run in runs for name in run.status.metrics))
    if wanted:
        chosen = {pattern: fnmatch.filter(there, pattern) for pattern in wanted}
        for pattern, names in chosen.items():
            if not names:
                raise UserError(
                    f"--metric {pattern}: no run has it", expected=listing(there), nearest=nearest(pattern, there)
                )
        return list(dict.fromkeys(name for names in chosen.values() for name in names))
    decisive = {one.metric for run in runs if (one := run.objective)} | {one.metric for one in objectives}
    decided = {"loss", *(name.partition("/")[2] for name in decisive)}
    splits = {"val", "test", *(name.partition("/")[0] for name in decisive)}
    return [name for name in there if name.partition("/")[0] in splits and name.partition("/")[2] in decided]
