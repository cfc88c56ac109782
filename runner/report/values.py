"""Values as text."""

import json
from typing import Any


def shown(value: Any) -> str:
    """A value as it would be typed, with four digits: ``true``, ``[512,512]``, ``0.001``; ``-`` where there is none."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and all(isinstance(one, int | float | str | bool) for one in value):
        return f"[{','.join(map(shown, value))}]"
    return json.dumps(value, default=str)


def first_line(text: str | None) -> str:
    """Of an error, what it is; what belongs to it stands in the lines below."""
    return ((text or "").strip().splitlines() or ["no reason is known"])[0]


def short(text: str, most: int) -> str:
    """A text of at most so many characters, cut in its middle: both of its ends may matter."""
    if len(text) <= most:
        return text
    left = (most - 1) // 2
    return f"{text[:left]}…{text[len(text) - (most - 1 - left) :]}"
