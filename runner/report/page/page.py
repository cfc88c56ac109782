"""The page: what it shows of which runs, put into its template."""

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from runner import __version__
from runner.deploy.examples import Example, Examples
from runner.report.comparing import count, spread, titles_of
from runner.report.comparison import NAMES, Comparison, Row
from runner.report.facts import Facts
from runner.report.page import curves, study
from runner.report.runs import Entry, FoundSweep
from runner.report.values import shown
from runner.runs.directory import RunDirectory
from runner.runs.files import end_of
from runner.runs.status import now
from runner.tracking.formatting import duration, number
from runner.typed import typed

_LOG_BYTES, _LOG_LINES = 8192, 25
"""Of a failed run's log, its end."""


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    sort: str
    """What it is sorted by: a number, or the text in small letters; empty comes last."""
    is_number: bool = False


def render(entries: Sequence[Entry], found: Comparison, examples: Examples | str, out: Path) -> str:
    """The page as text.

    Args:
        entries: What was asked for.
        found: The runs side by side.
        examples: Predictions of the best run; or, in words, why there are none.
        out: The file that it is for: links lead from there to the run directories.
    """
    environment = Environment(loader=PackageLoader("runner.report.page", "."), autoescape=True, trim_blocks=True)
    beside = Path(__file__).parent
    alone = found.rows[0] if len(found.rows) == 1 else None
    best = found.best
    return environment.get_template("page.html").render(
        title=_title(entries),
        made=now(),
        entries=[{"path": str(entry.path), "href": _href(entry.path, out)} for entry in entries],
        typed=_typed(entries),
        tiles=_tiles(entries, found),
        alone=alone,
        splits=_splits(alone or best),
        best=best and {"label": best.label, "href": _href(best.run.path, out)},
        columns=_columns(found),
        rows=[_row(found, position, row, out) for position, row in enumerate(found.rows)],
        means=_means(found) if found.has_replicates else None,
        over=", ".join(found.over),
        curves=curves.learning_curves(found),
        legend=curves.legend(found),
        legend_note=curves.legend_note(found),
        objectives=study.draw(found) if alone is None else [],
        pareto=study.pareto(found) if alone is None else None,
        examples=examples if isinstance(examples, Examples) else None,
        no_examples=None if isinstance(examples, Examples) else examples,
        pictures=_pictures(examples) if isinstance(examples, Examples) else [],
        failures=list(_failures(found, out)),
        settings=_common_settings(found),
        version=__version__,
        style=Markup((beside / "style.css").read_text(encoding="utf-8")),
        script=Markup((beside / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
    )


def _title(entries: Sequence[Entry]) -> str:
    first = entries[0].path.resolve()
    return first.name if len(entries) == 1 else f"{first.name} and {len(entries) - 1} more"


def _href(path: Path, out: Path) -> str:
    """A link from the page to a folder that stays true when both are moved together."""
    return quote(os.path.relpath(path.resolve(), out.resolve().parent)) + "/"


def _typed(entries: Sequence[Entry]) -> str | None:
    """The command of what is shown, if it is one."""
    if len(entries) != 1:
        return None
    if isinstance(entries[0], FoundSweep):
        return typed("runner", "train", "-m", *(entries[0].record.get("typed") or ()))
    return typed("runner", "train", *Facts(entries[0]).typed)


def _tiles(entries: Sequence[Entry], found: Comparison) -> list[dict[str, str]]:
    """A few figures for a first look: title, figure, and what belongs to it."""
    rows = found.rows
    seconds = sum(row.run.seconds() for row in rows)
    best = found.best
    tiles = []
    if len(rows) == 1:
        tiles.append({"title": "state", "figure": rows[0].run.state, "more": f"epoch {rows[0].run.progress()}"})
    else:
        states = [row.run.state for row in rows]
        planned = sum(entry.planned if isinstance(entry, FoundSweep) else 1 for entry in entries)
        others = [f"{states.count(state)} {state}" for state in dict.fromkeys(states) if state != "completed"]
        others += [f"{planned - len(rows)} to come"] if planned > len(rows) else []
        more = ", ".join(others) or "all complete"
        tiles.append({"title": "complete runs", "figure": f"{states.count('completed')} of {planned}", "more": more})
    for objective in found.objectives if best is not None else ():
        assert best is not None
        value = best.run.metric(objective.metric)
        at = f"in epoch {best.run.status.best_epoch}" if objective.metric == best.run.status.monitor else ""
        whose = f"{best.label}, {at}".strip(", ") if len(rows) > 1 else at
        tiles.append(
            {"title": f"best {objective.metric}", "figure": "-" if value is None else number(value), "more": whose}
        )
    if best is not None:
        name = found.objectives[0].metric.partition("/")[2]
        value = best.run.status.metrics.get(f"test/{name}")
        if value is not None:
            tiles.append({"title": f"test/{name}", "figure": number(value), "more": "of that run" * (len(rows) > 1)})
    group = found.best_group
    mean = None if group is None else group.mean(found.objectives[0].metric)
    if group is not None and mean is not None and mean.n > 1:
        told = ", ".join(f"{key.rpartition('.')[2]} {shown(value)}" for key, value in group.values.items())
        tiles.append({"title": f"best mean of {mean.n}", "figure": spread(mean), "more": told})
    tiles.append({"title": "time", "figure": duration(seconds), "more": "of all runs together" * (len(rows) > 1)})
    return tiles


def _splits(row: Row | None) -> dict[str, Any] | None:
    """The figures of a run by split and metric."""
    if row is None or not row.run.status.metrics:
        return None
    metrics = row.run.status.metrics
    names = list(dict.fromkeys(name.partition("/")[2] for name in metrics))
    splits = list(dict.fromkeys(name.partition("/")[0] for name in metrics))
    return {
        "names": names,
        "rows": [
            (split, [number(metrics[key]) if (key := f"{split}/{name}") in metrics else "-" for name in names])
            for split in splits
        ],
    }


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    whole: str
    """Of a setting, its dotted name."""
    is_number: bool


def _columns(found: Comparison) -> list[_Column]:
    settings = [
        _Column(title, key, all(_is_number(row.values[key]) for row in found.rows))
        for key, title in zip(found.keys, titles_of(found.keys), strict=True)
    ]
    figures = [_Column(name, name, True) for name in ("epochs", *found.metrics, "time")]
    return [_Column("run", "run", False), *settings, _Column("state", "state", False), *figures]


def _row(found: Comparison, position: int, row: Row, out: Path) -> dict[str, Any]:
    status = row.run.status
    figures = [status.metrics.get(metric) for metric in found.metrics]
    return {
        "id": f"run-{position}",
        "label": row.label,
        "href": _href(row.run.path, out),
        "is_best": row is found.best,
        "state": row.run.state,
        "settings": [_cell(row.values[key]) for key in found.keys],
        "figures": [
            _Cell(row.run.progress(), str(status.epoch), True),
            *(_Cell("-" if value is None else number(value), _sort_key(value), True) for value in figures),
            _Cell(duration(row.run.seconds()), str(row.run.seconds()), True),
        ],
    }


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> _Cell:
    return _Cell(shown(value), _sort_key(value), _is_number(value))


def _sort_key(value: Any) -> str:
    if value is None or value != value:
        return ""
    return repr(value) if _is_number(value) else shown(value).lower()


def _means(found: Comparison) -> dict[str, Any]:
    """The table over seeds."""
    keys = [key for key in found.keys if key not in found.over]

    def cells(position: int) -> list[_Cell]:
        group = found.groups[position]
        means = [group.mean(metric) for metric in found.metrics]
        return [
            *(_cell(group.values[key]) for key in keys),
            _Cell(count(group), str(len(group.complete)), True),
            *(_Cell(spread(mean), "" if mean is None else _sort_key(mean.mean), True) for mean in means),
        ]

    rows = [(cells(position), group is found.best_group) for position, group in enumerate(found.groups)]
    named = zip((*titles_of(keys), "runs", *found.metrics), (*keys, "runs", *found.metrics), strict=True)
    columns = [_Column(title, whole, cell.is_number) for (title, whole), cell in zip(named, rows[0][0], strict=True)]
    return {"columns": columns, "rows": rows}


def _failures(found: Comparison, out: Path) -> Iterator[dict[str, Any]]:
    """Runs that ended badly, with what is known of why."""
    for position, row in enumerate(found.rows):
        if row.run.state not in ("failed", "killed", "damaged"):
            continue
        yield {
            "id": f"run-{position}",
            "name": curves.name_of(found, row),
            "href": _href(row.run.path, out),
            "state": row.run.state,
            "error": row.run.status.error or _WHY[row.run.state],
            "log": _end_of_log(RunDirectory(row.run.path)),
        }


_WHY = {
    "failed": "no reason is recorded",
    "killed": "its process ended without a word: killed, or its machine went down",
    "damaged": "its status.json cannot be read",
}


def _end_of_log(run: RunDirectory) -> str:
    for file in (run.log_file, run.output_file):
        lines = end_of(file, _LOG_BYTES).splitlines()
        if lines:
            return "\n".join(lines[-_LOG_LINES:])
    return ""


def _common_settings(found: Comparison) -> list[tuple[str, str]]:
    """The settings that are the same in all runs, as far as these can be read."""
    first, *others = [row.facts.settings for row in found.rows if row.facts.settings] or [{}]
    return [
        (key, shown(value))
        for key, value in first.items()
        if key not in NAMES and all(key in one and one[key] == value for one in others)
    ]


def _pictures(examples: Examples) -> list[tuple[str, list[dict[str, Any]]]]:
    """The examples in their groups, with pictures that stand in the page."""
    groups = [("the first", examples.first), ("the worst", examples.worst)]
    return [(title, [_example(one) for one in group]) for title, group in groups if group]


def _example(example: Example) -> dict[str, Any]:
    sources = [(title, f"data:image/png;base64,{base64.b64encode(png).decode()}") for title, png in example.pictures]
    return {"pictures": sources, "told": example}
