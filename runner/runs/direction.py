"""Whether more or less of a metric is better, without torch."""

from typing import Literal

Direction = Literal["maximize", "minimize"]

_HIGHER = {"accuracy", "f1", "precision", "recall", "iou", "dice", "r2"}


def higher_is_better(metric: str) -> bool:
    """The direction of a plain metric by its name, with or without a split in front (``val/loss``)."""
    name = metric.rpartition("/")[2]
    return name in _HIGHER or name.startswith("dice_")


def direction_of(higher: bool) -> Direction:
    """The word for it."""
    return "maximize" if higher else "minimize"
