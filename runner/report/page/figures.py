"""Figures as plotly's own JSON.

Colours are names of the page's style sheet (``var(--series-1)``); the page puts in what they are in its light and in
its dark form.
"""

import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

NUM_SERIES, NUM_STEPS = 8, 5
"""Colours that tell series apart, ``--series-1`` to ``-8``; and steps from bad to good, ``--step-1`` to ``-5``."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the page."""

    title: str
    spec: str
    """``data`` and ``layout`` of plotly, as JSON that may stand in a page."""
    height: int
    """In pixels."""
    width: int | None = None
    """The least that it needs, in pixels: on a narrower screen it is scrolled."""


def figure(title: str, drawn: go.Figure, height: int, width: int | None = None) -> Figure:
    """A figure under a heading of the page, so without a title of its own."""
    drawn.update_layout(template="none", title=None, height=height, width=None)
    spec: dict[str, Any] = json.loads(drawn.to_json())
    spec["layout"].pop("template", None)
    return Figure(title, json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c"), height, width)


def series(number: int) -> str:
    """The colour of a series, counted from 0."""
    return f"var(--series-{number % NUM_SERIES + 1})"


def step(share: float) -> str:
    """The colour of what is better than a share of the others, 0 to 1."""
    return f"var(--step-{min(int(share * NUM_STEPS), NUM_STEPS - 1) + 1})"
