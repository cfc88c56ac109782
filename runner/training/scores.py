"""The running loss and metrics of a split, kept on the device and read only where they are asked for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from runner.parallel.group import Group
from runner.training.mean_loss import MeanLoss
from runner.training.metrics import Metric
from runner.training.ring import Lent, joined

_HELD = 64
"""Batches held back before they are counted: few enough to be small beside a model, many enough to count rarely."""

_HELD_ELEMENTS = 1_000_000
"""That their outputs have, at which they are counted even if they are fewer."""


def most_held(elements: int) -> int:
    """How many outputs of so many elements, and losses, are held back at the most."""
    return min(_HELD, -(-_HELD_ELEMENTS // elements))


Weight = float | Tensor
"""What a mean counts among others: how many samples it is of, or else a scalar on the device."""


class Seen(NamedTuple):
    """A batch that went through the model."""

    loss: Tensor | Lent
    """Its mean loss, a scalar."""
    outputs: Tensor | Lent
    targets: Tensor
    indices: Tensor
    """(B,) ids of its samples."""
    weight: Weight
    """What the loss divides by; 0 where another process counts the samples."""
    counts: bool = True
    """Whether the metrics count them here."""


class Scores:
    """Mean loss and metrics over the samples seen so far, by all processes of a run.

    A step only appends to lists; the arithmetic is done for many steps at once. Every sum is taken batch by batch in
    their order, so the figures do not depend on when they were read or saved. The methods that wait for the device are
    called by all processes, and give the same to each.

    Args:
        metric: Empty.
        counts_skipped: Whether updates may be skipped, and are then counted as ``skipped``.
        group: The processes that see a part of the samples each; None: this one sees all.
    """

    def __init__(self, metric: Metric, counts_skipped: bool = False, group: Group | None = None) -> None:
        self.metric = metric
        self.loss = MeanLoss(group)
        self.skipped = 0
        self._counts_skipped = counts_skipped
        self._group = group
        self._uncounted: list[tuple[Tensor | Lent, Tensor]] = []
        self._num_held = 0
        self._held_elements = 0
        self._counted_before: list[dict[str, Any]] = []
        """States of the metric in processes that there were before a resume, and are no more."""

    def add(self, batches: Sequence[Seen], step: int | None = None) -> None:
        """Note the batches of an update (counted from 1), or of an evaluation (None)."""
        for seen in batches:
            self.loss.add(seen.loss, seen.weight, seen.indices, step)
            if seen.counts:
                self._uncounted.append((seen.outputs, seen.targets))
        self._have_held(batches)

    def skip(self, batches: Sequence[Seen]) -> None:
        """Note an update that was left out."""
        self.skipped += 1
        self._have_held(batches)  # their results, too, took the places in memory of others that are held

    def _have_held(self, batches: Sequence[Seen]) -> None:
        """Let go in time: as often as ``most_held`` says, and only after whole updates, as a graph lends results."""
        self._num_held += len(batches)
        for seen in batches:
            self._held_elements += seen.outputs.numel()
        if self._num_held >= _HELD or self._held_elements >= _HELD_ELEMENTS:
            self._let_go()

    def compute(self) -> dict[str, float]:
        """``loss`` and every metric, by name. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._count()
        skipped = {"skipped": self.skipped} if self._counts_skipped else {}
        return {"loss": self.loss.value(), **self._figures(), **skipped}

    def _figures(self) -> dict[str, float]:
        if self._group is None and not self._counted_before:
            return self.metric.compute()
        of_this = self.metric_states()
        of_all = [of_this] if self._group is None else self._group.at_first(of_this)
        figures: dict[str, float] = {}
        if of_all:
            self.metric.merge([state for states in of_all for state in states])
            figures = self.metric.compute()
            self.metric.load_state_dict(of_this[0])
        return figures if self._group is None else self._group.of(0, figures)

    def _count(self) -> None:
        if self.metric.is_count and len(self._uncounted) > 1:
            all_outputs, all_targets = zip(*self._uncounted, strict=True)
            self.metric.update(joined(all_outputs), torch.cat(all_targets))
        else:  # sums round: they are taken batch by batch, in order
            for outputs, targets in self._uncounted:
                self.metric.update(outputs.tensor if isinstance(outputs, Lent) else outputs, targets)
        self._uncounted.clear()

    def _let_go(self) -> None:
        """Count what is held back; hold no tensor any more that a step has left."""
        self._count()
        self.loss.let_go()
        self._num_held = self._held_elements = 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint within an epoch keeps, but for the metric. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        return {**self.loss.state_dict(), "skipped": self.skipped}

    def metric_states(self) -> list[dict[str, Any]]:
        """What this process has counted, and what it looks after. Waits for the device."""
        self._count()
        return [self.metric.state_dict(), *self._counted_before]

    def load_state_dict(self, state: dict[str, Any], metric_states: Sequence[dict[str, Any]]) -> None:
        """Go on from what ``state_dict`` gave, and from some of what ``metric_states`` gave to all processes."""
        self.loss.load_state_dict(state)
        self.skipped = state["skipped"]
        if metric_states:
            self.metric.load_state_dict(metric_states[0])
        self._counted_before = list(metric_states[1:])
