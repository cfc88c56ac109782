"""From labels as they are written to class numbers."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from runner.data.source import Array
from runner.errors import listing

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


class Classes(NamedTuple):
    """Class numbers of a list of labels."""

    targets: Array
    """(N,) int64; -1 where the label is not valid."""
    names: tuple[str, ...]
    """Empty where the labels are numbers."""
    problems: dict[int, str]
    """What is wrong with a label, by its place in the list."""

    @property
    def num_classes(self) -> int:
        """Number of classes: of the names, or up to the largest number."""
        return len(self.names) or int(self.targets.max()) + 1


def number_classes(labels: Sequence[str], order: Sequence[str] | None = None) -> Classes:
    """Give every label its class number.

    Whole numbers are classes as they stand, from 0; names are sorted and numbered. Where at least half of the labels
    are numbers, the others are mistakes.

    Args:
        labels: As written; blanks around them do not count.
        order: The labels in the order of their numbers, to number them so instead.
    """
    labels = [label.strip() for label in labels]
    if order is not None:
        return _by_name(labels, tuple(order))
    numbers = [float(label) if _NUMBER.fullmatch(label) else None for label in labels]
    if 2 * sum(number is not None for number in numbers) < len(labels):
        return _by_name(labels, tuple(sorted(set(labels) - {""})))
    problems = {}
    for index, (label, number) in enumerate(zip(labels, numbers, strict=True)):
        if number is None:
            problems[index] = f"the label '{label}' is no number" if label else "it has no label"
        elif number < 0 or not number.is_integer():
            problems[index] = f"the label {label} is no class, which is a whole number from 0"
    targets = [-1 if index in problems else int(number or 0) for index, number in enumerate(numbers)]
    return Classes(np.array(targets, dtype=np.int64), (), problems)


def _by_name(labels: Sequence[str], names: tuple[str, ...]) -> Classes:
    number_of = {name: number for number, name in enumerate(names)}
    problems = {
        index: f"the label '{label}' is none of {listing(names)}" if label else "it has no label"
        for index, label in enumerate(labels)
        if label not in number_of
    }
    targets = np.array([number_of.get(label, -1) for label in labels], dtype=np.int64)
    return Classes(targets, names, problems)
