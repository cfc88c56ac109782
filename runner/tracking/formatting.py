"""Numbers, durations and tables as text."""

import math
from collections.abc import Sequence


def number(value: float) -> str:
    """Four significant digits, ``0.9700`` or ``1.234e-05``; integers in full."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size != 0 and not 1e-4 <= size < 1e6:
        return f"{value:.3e}"
    return f"{value:.0f}" if size >= 999.95 else f"{value:#.4g}"


def counted(number: int, what: str = "run") -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def short(value: str) -> str:
    """A value as it was typed; a number that is not whole with four significant digits at the most."""
    try:
        return f"{float(value):.4g}" if not value.lstrip("+-").isdigit() else value
    except ValueError:
        return value


def duration(seconds: float) -> str:
    """Two units at most: ``0.84 s``, ``12 s``, ``2 min 05 s``, ``1 h 02 min``, ``3 d 04 h``."""
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 0.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left and the others to the right, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [_aligned(cells, widths) for cells in (header, *rows)]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    texts = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(texts).rstrip()
