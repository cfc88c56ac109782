"""A comparison as text, and as plain values."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from runner.report.comparison import Comparison, Group, Mean, Row
from runner.report.layout import within
from runner.report.ls import cell
from runner.report.pair import Difference
from runner.report.values import first_line, short, shown
from runner.runs.files import plain_record
from runner.tracking.formatting import duration, number

_LONGEST = 32  # characters of a setting in a table


def text(found: Comparison, width: int | None) -> str:
    """The table of the runs and, where settings were repeated, that of their means."""
    lines = _runs(found, width)
    if found.has_replicates:
        lines += ["", *_means(found, width)]
    partial = [row for row in found.rows if row.run.state != "completed"]
    if any(metric in row.run.status.metrics for row in partial for metric in found.metrics):
        lines += ["", "in brackets: of a run that is not complete; it counts for no mean"]
    failed = [f"{row.label} failed: {first_line(row.run.status.error)}" for row in partial if row.run.state == "failed"]
    lines += ["", *failed] if failed else []
    return "\n".join(lines)


def _runs(found: Comparison, width: int | None) -> list[str]:
    header = ["run", *titles_of(found.keys), "state", "progress", *found.metrics, "time"]
    rows = [
        [
            row.label,
            *(short(shown(row.values[key]), _LONGEST) for key in found.keys),
            row.run.state,
            row.run.progress(),
            *(_figure(row, metric) for metric in found.metrics),
            duration(row.run.seconds()),
        ]
        for row in found.rows
    ]
    return within(*_marked(header, rows, [row is found.best for row in found.rows]), width)


def _means(found: Comparison, width: int | None) -> list[str]:
    """A line for each group of runs that differ in nothing but what is averaged over."""
    kept = [key for key in found.keys if key not in found.over]
    header = [*titles_of(kept), "runs", *found.metrics]
    rows = [
        [
            *(short(shown(group.values[key]), _LONGEST) for key in kept),
            count(group),
            *(spread(group.mean(metric)) for metric in found.metrics),
        ]
        for group in found.groups
    ]
    marked = _marked(header, rows, [group is found.best_group for group in found.groups])
    return [f"mean ± standard deviation over {', '.join(found.over)}", "", *within(*marked, width, len(kept))]


def _marked(header: list[str], rows: list[list[str]], is_best: Sequence[bool]) -> tuple[list[str], list[list[str]]]:
    """A table with a mark at the end of its best rows, if any is."""
    if not any(is_best):
        return header, rows
    return [*header, ""], [[*row, "best" if best else ""] for row, best in zip(rows, is_best, strict=True)]


def titles_of(keys: Sequence[str]) -> list[str]:
    """Settings by the last part of their names, where that tells them apart."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]


def _figure(row: Row, metric: str) -> str:
    value = row.run.status.metrics.get(metric)
    if value is None:
        return "-"
    return number(value) if row.run.state == "completed" else f"({number(value)})"


def count(group: Group) -> str:
    """How many runs a group has, and of how many its means are."""
    complete = len(group.complete)
    return f"{complete}" if complete == len(group.rows) else f"{complete} of {len(group.rows)}"


def spread(mean: Mean | None) -> str:
    """``0.9700 ± 0.012``."""
    if mean is None:
        return "-"
    return number(mean.mean) if mean.std is None else f"{number(mean.mean)} ± {mean.std:.2g}"


def pair(difference: Difference, show_diff: bool, width: int | None) -> str:
    """What differs between two runs: settings, code and surroundings."""
    lines: list[str] = []
    if difference.settings:
        most = None if width is None else max(12, width // 3)
        cells = [[shown(value) for value in values] for values in difference.settings.values()]
        rows = [
            [key, *(text if most is None else short(text, most) for text in texts)]
            for key, texts in zip(difference.settings, cells, strict=True)
        ]
        lines += within(["setting", *difference.labels], rows, width)
    else:
        lines += ["the settings are the same"]
    lines += [""]
    code = difference.code
    if isinstance(code, str):
        lines += [f"code     {code}"]
    else:
        lines += [f"code     {code.describe()}"]
        if code.diff is None:
            lines += ["         the current folder's git checkout has not both: what differs is not known"]
        elif show_diff:
            lines += ["", *code.diff.splitlines()]
        else:
            lines += [f"        {line}" for line in (code.stat or "").splitlines()]
            lines += ["         all of it: --diff"] if code.diff else []
        if code.binary:
            lines += [f"         binary, and not recorded: {', '.join(code.binary)}"]
    lines += [f"{'around' if number == 0 else '':<9}{line}" for number, line in enumerate(difference.around)]
    return "\n".join(lines)


def record(found: Comparison, difference: Difference | None = None) -> dict[str, Any]:
    """Everything as plain values."""
    runs = [
        {
            "run": str(row.run.path),
            "state": row.run.state,
            "epoch": row.run.status.epoch,
            "epochs": row.run.status.epochs,
            "best": row.run.status.best,
            "best_epoch": row.run.status.best_epoch,
            "seconds": row.run.seconds(),
            "error": row.run.status.error,
            "settings": row.values,
            "metrics": {metric: row.run.status.metrics.get(metric) for metric in found.metrics},
        }
        for row in found.rows
    ]
    means = [
        {
            "settings": group.values,
            "runs": [str(row.run.path) for row in group.rows],
            "metrics": {
                metric: None if (mean := group.mean(metric)) is None else asdict(mean) for metric in found.metrics
            },
        }
        for group in found.groups
    ]
    best = found.best
    whole: dict[str, Any] = {
        "settings": found.keys,
        "metrics": found.metrics,
        "objectives": [asdict(objective) for objective in found.objectives],
        "best": None if best is None else str(best.run.path),
        "runs": runs,
        "over": found.over,
        "means": means,
    }
    if difference is not None:
        code = difference.code
        whole["difference"] = {
            "settings": difference.settings,
            "code": code if isinstance(code, str) else asdict(code),
            "around": difference.around,
        }
    return plain_record(whole)


def as_csv(found: Comparison) -> str:
    """A line a run: the settings that differ, the state, and the metrics."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["run", *found.keys, "state", "epoch", "epochs", *found.metrics, "seconds"])
    for row in found.rows:
        status = row.run.status
        figures = [status.metrics.get(metric) for metric in found.metrics]
        cells = [*row.values.values(), row.run.state, status.epoch, status.epochs, *figures, row.run.seconds()]
        writer.writerow([str(row.run.path), *map(cell, cells)])
    return buffer.getvalue()
