"""Tables on a terminal, whatever its width."""

import os
import shutil
import sys
from collections.abc import Sequence

from runner.report.values import short
from runner.tracking.formatting import table as aligned

_GAP = 2
_LEAST = 6  # characters that a column is cut to, at the least


def terminal_width() -> int | None:
    """The columns of the terminal that the standard output is, or of COLUMNS; None where lines may be long."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return None
    return shutil.get_terminal_size().columns


def fits(lines: Sequence[str], width: int | None) -> bool:
    """Whether lines are not longer than a terminal is wide."""
    return width is None or max(map(len, lines)) <= width


def within(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, num_labels: int = 1) -> list[str]:
    """A table in lines of at most ``width`` characters: as several below each other, if need be.

    Args:
        header: The titles of the columns.
        rows: The cells.
        width: What the lines must keep to; None: nothing.
        num_labels: How many columns at the left say what a row is about: each part has them.
    """
    lines = aligned(header, rows)
    if width is None or fits(lines, width):
        return lines
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    most = max(_LEAST, (width // 2) // max(num_labels, 1) - _GAP)
    widths[:num_labels] = [min(one, most) for one in widths[:num_labels]]
    room = max(width - sum(one + _GAP for one in widths[:num_labels]), _LEAST)
    widths[num_labels:] = [min(one, room) for one in widths[num_labels:]]
    found: list[str] = []
    for part in _parts(widths[num_labels:], room) or [[]]:
        columns = [*range(num_labels), *(num_labels + column for column in part)]
        cells = [[short(row[column], widths[column]) for column in columns] for row in (header, *rows)]
        found += [*([""] if found else []), *aligned(cells[0], cells[1:])]
    return found


def _parts(widths: Sequence[int], room: int) -> list[list[int]]:
    """Columns in as many parts as it takes for each to be at most ``room`` wide."""
    parts: list[list[int]] = []
    used = room + 1
    for column, needed in enumerate(widths):
        if used + _GAP + needed > room:
            parts.append([])
            used = -_GAP
        parts[-1].append(column)
        used += _GAP + needed
    return parts
