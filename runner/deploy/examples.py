"""Examples of what a model predicts, as plain values: made where torch is, and shown where it need not be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A sample with its target and its prediction."""

    number: int
    """Of the sample, in its data."""
    pictures: tuple[tuple[str, bytes], ...]
    """What each shows (``image``, ``true``, ``predicted``), and a PNG; empty where the sample is no image."""
    truth: str
    predicted: str
    score: str
    """How sure the model is, or how far off it is, in words."""
    is_right: bool | None
    """None where there is no right or wrong, as with values and masks."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Some samples of a split."""

    split: str
    epoch: int
    """Of the checkpoint."""
    count: int
    """Samples that were looked at, from the first of the split on."""
    told: str
    """What came of them all, in words: how many were wrong."""
    first: tuple[Example, ...]
    worst: tuple[Example, ...]
    """Of all that were looked at."""
    legend: tuple[tuple[str, str], ...]
    """Name and colour (``#ff9900``) of each class in masks."""
