"""Learning curves from ``metrics.csv``."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from runner.report.comparison import Comparison, Row
from runner.report.page.figures import Figure, figure, series
from runner.report.values import short, shown
from runner.runs.directory import RunDirectory

Points = dict[str, list[float | None]]
"""Values by column, one for each epoch; None where a cell is empty."""

_NUM_EACH = 10
"""Up to so many runs, each has its colour."""
_NUM_BEST = 5
"""Of more, the best so many have one, and the others are in grey."""
_MOST_POINTS = 400
_NAME_LENGTH = 80
_LOG_FROM = 30
"""A metric whose largest value is so many times its smallest is drawn on a logarithmic axis."""


def read_epochs(run: Path) -> Points:
    """The rows of the epochs; of very many, every so manieth and the last. Nothing of a file that is damaged."""
    try:
        with RunDirectory(run).metrics_file.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("seconds")]
    except (OSError, ValueError, csv.Error):
        return {}
    if rows and "epoch" not in rows[0]:
        return {}
    stride = math.ceil(len(rows) / _MOST_POINTS) or 1
    kept = [row for number, row in enumerate(rows, start=1) if number % stride == 0 or number == len(rows)]
    columns = [name for name in (rows[0] if rows else {}) if name]
    return {name: [_number(row.get(name)) for row in kept] for name in columns}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def learning_curves(found: Comparison) -> list[Figure]:
    """A figure for each metric: the loss, the monitored one, then the others; and the learning rate."""
    points = [read_epochs(row.run.path) for row in found.rows]
    there = dict.fromkeys(
        name.partition("/")[2] for of_run in points for name in of_run if name.startswith(("train/", "val/"))
    )
    monitored = [(row.run.status.monitor or "").partition("/")[2] for row in found.rows]
    first = [name for name in dict.fromkeys(["loss", *monitored]) if name in there]
    names = [*first, *(name for name in there if name not in first)]
    figures = [_of_metric(found, points, name) for name in names]
    if any(of_run.get("lr") for of_run in points) and len(found.rows) <= _NUM_EACH:
        figures.append(_learning_rate(found, points))
    return figures


@dataclass(frozen=True, slots=True)
class Key:
    """What a colour means."""

    number: int
    """Of the run, among those that are compared."""
    name: str
    colour: str


def legend(found: Comparison) -> list[Key]:
    """The runs that have a colour of their own; nothing for a single run."""
    if len(found.rows) == 1:
        return []
    return [
        Key(number, name_of(found, found.rows[number]), series(colour))
        for colour, number in enumerate(_coloured(found))
    ]


def legend_note(found: Comparison) -> str:
    """What the kinds of lines mean."""
    lines = "solid: validation, dotted: training"
    others = len(found.rows) - len(_coloured(found))
    return f"{lines}; grey: validation of the other {others}" if others else lines


def _of_metric(found: Comparison, points: Sequence[Points], name: str) -> Figure:
    drawn = go.Figure()
    if len(found.rows) == 1:
        _draw_alone(drawn, found.rows[0], points[0], name)
    else:
        coloured = _coloured(found)
        _draw_grey(drawn, found, points, name, coloured)
        for colour, number in enumerate(coloured):
            _draw(drawn, found, points, name, number, series(colour))
    _count_epochs(drawn, points)
    values = [value for of_run in points for split in ("train", "val") for value in of_run.get(f"{split}/{name}", ())]
    known = [value for value in values if value is not None]
    if known and min(known) > 0 and max(known) / min(known) >= _LOG_FROM:
        drawn.update_yaxes(type="log", exponentformat="e", dtick=1 if max(known) / min(known) >= 100 else "D2")
    return figure(name, drawn, height=360)


def _draw_alone(drawn: go.Figure, row: Row, points: Points, name: str) -> None:
    for colour, (split, title) in enumerate((("val", "validation"), ("train", "training"))):
        if f"{split}/{name}" in points:
            line = {"color": series(colour), "width": 2, "dash": "solid" if split == "val" else "dot"}
            drawn.add_scatter(x=points["epoch"], y=points[f"{split}/{name}"], mode=_mode(points), name=title, line=line)
    if row.run.status.best_epoch:
        drawn.add_vline(x=row.run.status.best_epoch, line={"color": "var(--muted)", "width": 1, "dash": "dash"})
        drawn.add_annotation(
            x=row.run.status.best_epoch, y=1, yref="paper", yanchor="bottom", text="best", showarrow=False
        )


def _draw(drawn: go.Figure, found: Comparison, points: Sequence[Points], name: str, number: int, colour: str) -> None:
    """A run in its colour: validation drawn through, training dotted."""
    of_run, row = points[number], found.rows[number]
    is_named = False
    for split in ("val", "train"):
        values = of_run.get(f"{split}/{name}")
        if values is None:
            continue
        drawn.add_scatter(
            x=of_run["epoch"],
            y=values,
            mode=_mode(of_run),
            name=name_of(found, row),
            legendgroup=row.label,
            showlegend=not is_named,
            meta=number,
            opacity=1 if split == "val" else 0.7,
            line={"color": colour, "width": 2 if split == "val" else 1.2, "dash": "solid" if split == "val" else "dot"},
            hovertemplate=f"{split} %{{y:.4g}}<extra>%{{fullData.name}}</extra>",
        )
        is_named = True


def _draw_grey(
    drawn: go.Figure, found: Comparison, points: Sequence[Points], name: str, coloured: Sequence[int]
) -> None:
    """All other runs as one trace with gaps, which a browser draws at once."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    numbers: list[int] = []
    for number, of_run in enumerate(points):
        values = of_run.get(f"val/{name}") or of_run.get(f"train/{name}")
        if number not in coloured and values:
            xs += [*of_run["epoch"], None]
            ys += [*values, None]
            numbers += [number] * (len(values) + 1)
    if xs:
        drawn.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=f"{len(set(numbers))} others",
            customdata=numbers,
            text=[found.rows[number].label for number in numbers],
            line={"color": "var(--faint)", "width": 1},
            hovertemplate="%{y:.4g}<extra>%{text}</extra>",
        )


def _learning_rate(found: Comparison, points: Sequence[Points]) -> Figure:
    drawn = go.Figure()
    for number, (row, of_run) in enumerate(zip(found.rows, points, strict=True)):
        if of_run.get("lr"):
            line = {"color": series(number), "width": 2}
            drawn.add_scatter(
                x=of_run["epoch"], y=of_run["lr"], mode=_mode(of_run), name=name_of(found, row), meta=number, line=line
            )
    drawn.update_layout(showlegend=len(found.rows) > 1)
    _count_epochs(drawn, points)
    return figure("learning rate", drawn, height=360)


def _count_epochs(drawn: go.Figure, points: Sequence[Points]) -> None:
    last = max((max(filter(None, of_run["epoch"]), default=0) for of_run in points if of_run), default=0)
    drawn.update_xaxes(title="epoch", rangemode="tozero", dtick=1 if last <= _NUM_EACH else None)


def _coloured(found: Comparison) -> list[int]:
    """Numbers of the runs that have a colour of their own, the best first where not all have."""
    numbers = list(range(len(found.rows)))
    if len(numbers) <= _NUM_EACH:
        return numbers
    if not found.objectives:
        return numbers[:_NUM_BEST]
    objective = found.objectives[0]
    sign = -1 if objective.direction == "maximize" else 1
    values = {number: found.rows[number].run.metric(objective.metric) for number in numbers}
    known = [(sign * value, number) for number, value in values.items() if value is not None and value == value]
    return [number for _, number in sorted(known)[:_NUM_BEST]]


def name_of(found: Comparison, row: Row) -> str:
    """A run with what tells it from the others: ``0003 · lr 0.1 · seed 0``."""
    told = [f"{key.rpartition('.')[2]} {shown(row.values[key])}" for key in found.keys if row.values[key] is not None]
    return short(" · ".join([row.label, *told]), _NAME_LENGTH)


def _mode(points: Points) -> str:
    return "lines" if len(points["epoch"]) > 1 else "markers"
