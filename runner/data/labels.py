"""From labels as they are written to targets: class numbers, values, or a row of 0 and 1."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from runner.data.source import Array
from runner.data.table import numbers_of
from runner.errors import UserError, in_short, listing

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_DECIMAL = re.compile(r"[+-]?\d+\.\d*[1-9]\d*")
_ALWAYS_CLASSES = 10_000
"""Up to here a number is a class, however few samples there are; above it, with ten times fewer samples, it is not."""


class Labels(NamedTuple):
    """Targets of a list of labels.

    N: labels, K: values for each.
    """

    targets: Array
    """Classes (N,) int64, -1 where the label is not valid; or values (N,) or (N, K) float32."""
    names: tuple[str, ...]
    """Of the classes; empty where they have none."""
    problems: dict[int, str]
    """What is wrong with a label, by its place in the list."""
    num_classes: int | None
    """Of the names, or up to the largest number, or K labels of yes and no; None for values."""

    @property
    def num_values(self) -> int:
        """Numbers for each label."""
        return 1 if self.targets.ndim == 1 else self.targets.shape[1]


def read_labels(
    cells: Sequence[Sequence[str]], task: str, titles: Sequence[str], key: str, order: Sequence[str] | None = None
) -> Labels:
    """What the labels mean for a task.

    Args:
        cells: The texts in the columns of the labels, for each sample.
        task: ``classification`` and ``binary`` take classes, ``multilabel`` a column of 0 and 1 for each label,
            ``regression`` columns of numbers.
        titles: What the columns are called.
        key: The setting that names the columns.
        order: As in ``number_classes``.

    Raises:
        UserError: If the task takes other labels than these.
    """
    if task in ("classification", "binary"):
        if len(titles) != 1:
            raise UserError(
                f"{key} names {len(titles)} columns, and task={task} takes one",
                fix=f"{key}={titles[0] if titles else 'COLUMN'}, or task=multilabel, or task=regression",
            )
        return _as_classes([row[0] for row in cells], task, titles[0], key, order)
    if task not in ("multilabel", "regression"):
        raise UserError(f"task={task} cannot be learnt from labels in a table", fix="data=mask_folder")
    values, problems = numbers_of(cells)
    if task == "regression":
        return Labels(values[:, 0] if len(titles) == 1 else values, (), problems, None)
    for index in np.flatnonzero(~np.isin(values, (0, 1)).all(axis=1)).tolist():
        problems.setdefault(index, f"{listing(cells[index])} are not 0 or 1 for each label")
    return Labels(values, tuple(titles), problems, len(titles))


def _as_classes(labels: list[str], task: str, title: str, key: str, order: Sequence[str] | None) -> Labels:
    classes = number_classes(labels, order, f"{key}={title}")
    if order is not None and len(classes.problems) == len(labels):
        raise UserError(
            f"{key}={title}: not one label is in data.source.classes=[{listing(order)}]",
            expected=f"the labels as they are written: {listing(sorted(set(labels)), limit=5)}",
            fix="data.source.classes=null, or the column of these labels",
        )
    decimals = [labels[index] for index in classes.problems if _DECIMAL.fullmatch(labels[index])]
    if order is None and 2 * len(decimals) > len(labels):
        raise UserError(
            f"{key}={title}: the labels are decimal numbers ({listing(decimals, limit=3)})",
            expected=f"for task={task} classes: whole numbers from 0, or names",
            fix="task=regression, or the column of the classes",
        )
    return classes


def number_classes(labels: Sequence[str], order: Sequence[str] | None = None, setting: str = "the labels") -> Labels:
    """Give every label its class number.

    Whole numbers are classes as they stand, from 0; names are sorted and numbered. Where at least half of the labels
    are numbers, the others are mistakes.

    Args:
        labels: As written; blanks around them do not count.
        order: The labels in the order of their numbers, to number them so instead.
        setting: What names the labels, for messages.

    Raises:
        UserError: As ``require_classes``.
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
            problems[index] = f"the label '{in_short(label)}' is no number" if label else "it has no label"
        elif number < 0 or not number.is_integer():
            problems[index] = f"the label {label} is no class, which is a whole number from 0"
    targets = [-1 if index in problems else int(number or 0) for index, number in enumerate(numbers)]
    require_classes(max(targets, default=0), len(targets), setting)
    classes = np.array(targets, dtype=np.int64)
    return Labels(classes, (), problems, (int(classes.max()) + 1) or None)


def require_classes(largest: int, num_samples: int, setting: str) -> None:
    """Refuse numbers that cannot be classes, such as those of persons or dates, before anything is made for each.

    Args:
        largest: The largest of them.
        num_samples: How many samples there are.
        setting: What names the labels.

    Raises:
        UserError: If the largest number is far above the number of samples.
    """
    if largest >= max(_ALWAYS_CLASSES, 10 * num_samples):
        raise UserError(
            f"{setting}: the largest label of {num_samples:,} samples is {largest}, which makes as many classes",
            expected="classes numbered from 0, or names",
            fix="the column of the classes, or task=regression, or data.source.classes=[...] with all labels in order",
        )


def _by_name(labels: Sequence[str], names: tuple[str, ...]) -> Labels:
    number_of = {name: number for number, name in enumerate(names)}
    problems = {
        index: f"the label '{in_short(label)}' is none of {listing(names)}" if label else "it has no label"
        for index, label in enumerate(labels)
        if label not in number_of
    }
    targets = np.array([number_of.get(label, -1) for label in labels], dtype=np.int64)
    return Labels(targets, names, problems, len(names) or None)
