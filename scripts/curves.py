"""Draw the curves of several runs side by side, each beside those of the first, into one SVG picture.

    python scripts/curves.py outputs/DATE/TIME-sweep -o curves.svg [--metric loss] [--top 1]

Takes a sweep, or any folders of runs. Solid: validation; dashed: training; grey: the first run, for comparison.
"""

import argparse
import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP, COLUMNS = 190, 120, 34, 4
"""Of a panel in pixels, the room between two, and how many stand in a row."""


class Run(NamedTuple):
    name: str
    train: list[float]
    val: list[float]


def read(folder: Path, metric: str) -> Run:
    """The figures of every epoch of a run; it is called by what tells it from the others of its sweep."""
    rows = [row for row in csv.DictReader((folder / "metrics.csv").read_text().splitlines()) if row["seconds"]]
    train, val = ([float(row[f"{split}/{metric}"]) for row in rows] for split in ("train", "val"))
    name = re.sub(r"^\d{4}-", "", folder.name)  # its number in the sweep
    return Run(name.partition("--")[2].strip("-") or name, train, val)


def run_folders(folders: Sequence[Path]) -> list[Path]:
    """The runs in sweeps, and runs that are named themselves."""
    found = [sorted(folder.glob("runs/*/metrics.csv")) or [folder / "metrics.csv"] for folder in folders]
    return [file.parent for files in found for file in files]


def draw(runs: Sequence[Run], metric: str, top: float | None) -> str:
    """An SVG picture; the scale is the same in every panel, from 0 to ``top`` or to the largest value."""
    epochs = max(len(run.train) for run in runs)
    finite = [value for run in runs for value in (*run.train, *run.val) if math.isfinite(value)]
    top = max(finite) if top is None else top
    rows = -(-len(runs) // COLUMNS)
    size = COLUMNS * (WIDTH + GAP) + GAP, rows * (HEIGHT + GAP + 10) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{size[0]}" height="{size[1]}" fill="white"/>',
    ]
    for number, run in enumerate(runs):
        left, upper = GAP + number % COLUMNS * (WIDTH + GAP), GAP + number // COLUMNS * (HEIGHT + GAP + 10)
        parts.append(f'<g transform="translate({left} {upper})">')
        parts.append(f'<text y="-6" font-weight="bold">{escape(run.name)}</text>')
        parts.append(f'<path d="M0 0V{HEIGHT}H{WIDTH}" fill="none" stroke="#888"/>')
        parts.append(f'<text x="-4" y="8" text-anchor="end">{top:.2g}</text>')
        parts.append(f'<text x="-4" y="{HEIGHT}" text-anchor="end">0</text>')
        parts.append(f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">epoch {epochs}</text>')
        parts.append(f'<text y="{HEIGHT + 14}">{metric}, best {_best(run, metric):.3f}</text>')
        curves = [(runs[0], "#bbb")] * (number > 0) + [(run, "#c33" if number else "#333")]
        for drawn, colour in curves:
            parts.append(_curve(drawn.train, epochs, top, colour, "3 2"))
            parts.append(_curve(drawn.val, epochs, top, colour, "none"))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _best(run: Run, metric: str) -> float:
    return min(run.val) if "loss" in metric else max(run.val)


def _curve(values: Sequence[float], epochs: int, top: float, colour: str, dashes: str) -> str:
    points = [
        f"{WIDTH * (epoch + 1) / epochs:.1f},{HEIGHT * (1 - min(value, top) / top):.1f}"
        for epoch, value in enumerate(values)
        if math.isfinite(value)
    ]
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-dasharray="{dashes}"/>'


def main() -> None:
    """Read the runs and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="sweeps or runs; the others stand beside the first")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the SVG file to write")
    parser.add_argument("--metric", default="loss", help="without its split, such as accuracy")
    parser.add_argument("--top", type=float, help="the largest value that is shown")
    arguments = parser.parse_args()
    runs = [read(folder, arguments.metric) for folder in run_folders(arguments.folders)]
    arguments.output.write_text(draw(runs, arguments.metric, arguments.top))


if __name__ == "__main__":
    main()
