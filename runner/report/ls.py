"""The list of runs and sweeps: which, in what order, and in what form."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from runner.launch.slurm.queue import JobState
from runner.report.facts import FIELDS, Facts, known_to_none
from runner.report.layout import fits
from runner.report.queued import state_of, told
from runner.report.runs import Entry, Found, FoundSweep, instant
from runner.report.values import shown
from runner.report.where import no_such_name
from runner.runs.files import plain_record
from runner.tracking.formatting import duration, number
from runner.tracking.formatting import table as aligned

_NUMBERS_OF_SWEEPS = ("planned", "completed", "failed", "running", "pruned")
_FIELDS_OF_SWEEPS: dict[str, Callable[[FoundSweep], Any]] = {
    "run": lambda sweep: str(sweep.path),
    "state": lambda sweep: sweep.state,
    "status": lambda sweep: sweep.state,
    "best": lambda sweep: sweep.best_value,
    "created": lambda sweep: sweep.created,
    "seconds": lambda sweep: sweep.seconds(),
}
"""What a sweep has of the fields of a run."""
_TIMES = ("created", "started", "ended")


def is_of_runs(name: str) -> bool:
    """Whether an order by this name needs the runs of sweeps one by one."""
    return name not in _FIELDS_OF_SWEEPS


def ordered(entries: Sequence[Entry], name: str, backwards: bool) -> list[Entry]:
    """Entries in the order of a field, a metric or a setting; those that have none come last.

    Raises:
        UserError: If none of them has it.
    """
    runs = [Facts(entry) for entry in entries if isinstance(entry, Found)]
    if is_of_runs(name) and runs and known_to_none(runs, [name]):
        raise no_such_name(f"--sort {name}", name, runs)

    def value(entry: Entry) -> Any:
        found = _FIELDS_OF_SWEEPS[name](entry) if isinstance(entry, FoundSweep) else Facts(entry).value(name)
        return instant(found) if name in _TIMES and found is not None else found

    values = [(value(entry), entry) for entry in entries]
    there = [(found, entry) for found, entry in values if found is not None and found == found]
    there.sort(key=lambda pair: _rank(pair[0]), reverse=backwards)
    return [entry for _, entry in there] + [entry for found, entry in values if found is None or found != found]


def _rank(value: Any) -> tuple[int, Any]:
    is_number = isinstance(value, int | float)
    return (0, value) if is_number else (1, str(value))


def table(
    entries: Sequence[Entry],
    more: Sequence[str] = (),
    width: int | None = None,
    jobs: Mapping[Path, Sequence[JobState]] = MappingProxyType({}),
) -> str:
    """The entries as aligned lines under a header, with columns for ``more``; if ``width`` is less, two lines each."""
    header = ["run", "state", "progress", *more, "best", "time", *(["job"] if jobs else [])]
    rows = [_row(entry, more, own := jobs.get(entry.path, ())) + ([told(own)] if jobs else []) for entry in entries]
    lines = aligned(header, rows)
    if fits(lines, width):
        return "\n".join(lines)
    inner = aligned(header[1:], [row[1:] for row in rows])[1:]
    return "\n".join(line for row, rest in zip(rows, inner, strict=True) for line in (row[0], f"  {rest}"))


def _row(entry: Entry, more: Sequence[str], jobs: Sequence[JobState]) -> list[str]:
    if isinstance(entry, FoundSweep):
        best, objectives = entry.best_value, entry.objectives
        reached = "-" if best is None else f"{objectives[0].metric} {number(best)}"
        others = ["" for _ in more]
    else:
        reached = "-" if entry.status.best is None else f"{entry.status.monitor} {number(entry.status.best)}"
        facts = Facts(entry)
        others = [shown(facts.value(name)) for name in more]
    return [str(entry.path), state_of(entry, jobs), entry.progress(), *others, reached, duration(entry.seconds())]


def record(entry: Entry, jobs: Sequence[JobState] = ()) -> dict[str, Any]:
    """Everything known of a run or a sweep, and of its jobs in the queue, as plain values."""
    queue = {"jobs": [asdict(job) for job in jobs]} if jobs else {}
    if isinstance(entry, Found):
        return plain_record({"run": str(entry.path), **asdict(entry.status), "state": entry.state, **queue})
    best = entry.best
    return plain_record(
        {
            "sweep": str(entry.path),
            "state": state_of(entry, jobs),
            "planned": entry.planned,
            "runs": dict(entry.counts),
            "created": entry.created,
            "seconds": entry.seconds(),
            "objectives": [asdict(objective) for objective in entry.objectives],
            "best": entry.best_value,
            "best_run": None if best is None else str(best.path),
            **queue,
        }
    )


def as_csv(entries: Sequence[Entry], more: Sequence[str] = ()) -> str:
    """A line for each entry: whether it is a run or a sweep, what its status says, and every metric."""
    fields = [name for name in FIELDS if name != "status"]
    metrics = dict.fromkeys(name for entry in entries if isinstance(entry, Found) for name in entry.status.metrics)
    sweeps = [entry for entry in entries if isinstance(entry, FoundSweep)]
    counted = _NUMBERS_OF_SWEEPS if sweeps else ()
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["kind", *fields, *counted, *more, *metrics])
    for entry in entries:
        if isinstance(entry, FoundSweep):
            own = {name: _FIELDS_OF_SWEEPS[name](entry) for name in _FIELDS_OF_SWEEPS}
            own |= {"planned": entry.planned, **{state: entry.counts[state] for state in counted if state != "planned"}}
        else:
            facts = Facts(entry)
            own = {name: facts.value(name) for name in (*fields, *more, *metrics)}
        cells = [own.get(name) for name in (*fields, *counted, *more, *metrics)]
        writer.writerow(["sweep" if isinstance(entry, FoundSweep) else "run", *map(cell, cells)])
    return buffer.getvalue()


def cell(value: Any) -> Any:
    """A value as it stands in a CSV file: numbers to the last bit, nothing where there is nothing."""
    return "" if value is None else value if isinstance(value, int | float | str) else json.dumps(value)
