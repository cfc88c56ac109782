"""The running loss and metrics of a split, kept on the device and read only at log points."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from runner.errors import UserError, listing
from runner.parallel.group import Group
from runner.training.metrics import Metric
from runner.training.shelf import ROWS, Lent, Shelf, joined, stacked

_HELD_ELEMENTS = 1_000_000
"""Outputs held back before they are counted: few enough to be small beside a model, many enough to count rarely."""


def most_held(elements: int) -> int:
    """How many outputs of so many elements, and losses, are held back at the most."""
    return min(ROWS, -(-_HELD_ELEMENTS // elements))


Weight = float | Tensor
"""What a mean counts among others: how many samples it is of, or else a scalar on the device."""


class Seen(NamedTuple):
    """A batch that went through the model."""

    loss: Tensor | Lent
    """Its mean loss, a scalar."""
    outputs: Tensor | Lent
    targets: Tensor | Lent
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
        self.skipped = 0
        self._counts_skipped = counts_skipped
        self._group = group
        self._loss_sum = 0.0
        self._weight: float = 0
        self._unread: list[tuple[float | Tensor | Lent, float | Tensor, Tensor, int | None]] = []
        self._num_lent = 0  # batches whose results lie where a graph writes again
        self._num_safe = 0  # of the unread ones: those before them
        self._uncounted: list[tuple[Tensor | Lent, Tensor | Lent]] = []
        self._uncounted_elements = 0
        self._shelf = Shelf()
        self._at_mark: tuple[float, float] = (0.0, 0)
        self._counted_before: list[dict[str, Any]] = []
        """States of the metric in processes that there were before a resume, and are no more."""

    def add(self, batches: Sequence[Seen], step: int | None = None) -> None:
        """Note the batches of an update (counted from 1), or of an evaluation (None)."""
        for seen in batches:
            self._unread.append((_noted(seen.loss), _noted(seen.weight), seen.indices, step))
            if seen.counts:
                self._uncounted.append((self._kept(seen.outputs), self._kept(seen.targets)))
                self._uncounted_elements += seen.outputs.numel()
            self._num_lent += isinstance(seen.loss, Lent)
            if self._num_lent >= ROWS or self._uncounted_elements >= _HELD_ELEMENTS:
                self._let_go()

    def _kept(self, tensor: Tensor | Lent) -> Tensor | Lent:
        return tensor if isinstance(tensor, Lent) else self._shelf.keep(tensor)

    def skip(self) -> None:
        """Note an update that was left out."""
        self.skipped += 1

    def loss(self) -> float:
        """Mean loss over all samples so far; NaN when there are none. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._read_losses()
        return self._loss_sum / self._weight if self._weight else math.nan

    def loss_since_mark(self) -> float:
        """Mean loss since the last call, for a training curve; NaN if nothing was added. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._read_losses()
        loss_before, weight_before = self._at_mark
        self._at_mark = (self._loss_sum, self._weight)
        weight = self._weight - weight_before
        return (self._loss_sum - loss_before) / weight if weight else math.nan

    def compute(self) -> dict[str, float]:
        """``loss`` and every metric, by name. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._count()
        skipped = {"skipped": self.skipped} if self._counts_skipped else {}
        return {"loss": self.loss(), **self._figures(), **skipped}

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

    def _read_losses(self) -> None:
        if not self._unread:
            return
        losses, weights, _, steps = zip(*self._unread, strict=True)
        means = list(zip(_numbers(losses), _numbers(weights), strict=True))  # by batch
        if self._group is not None:  # and within a batch by process
            of_this = torch.tensor([[one] for one in means], dtype=torch.float64)
            means = self._group.numbers(of_this).squeeze(2).transpose(0, 1).flatten(0, 1).tolist()
        if steps[0] is not None and not math.isfinite(sum(loss for loss, _ in means)):
            self._refuse([loss for loss, _ in means])
        for loss, weight in means:
            if weight:  # else it may be the mean of nothing, which is no number
                self._loss_sum += loss * weight
                self._weight += weight
        self._unread.clear()
        self._num_safe = 0

    def _refuse(self, losses: Sequence[float]) -> None:
        number, loss = next((number, loss) for number, loss in enumerate(losses) if not math.isfinite(loss))
        batch, rank = divmod(number, len(losses) // len(self._unread))
        _, _, indices, step = self._unread[batch]
        ids = indices.tolist()
        raise _not_finite(loss, step or 0, ids if self._group is None else self._group.of(rank, ids))

    def _count(self) -> None:
        if self.metric.is_count and len(self._uncounted) > 1:
            all_outputs, all_targets = zip(*self._uncounted, strict=True)
            self.metric.update(joined(all_outputs), joined(all_targets))
        else:  # sums round: they are taken batch by batch, in order
            for outputs, targets in self._uncounted:
                self.metric.update(_itself(outputs), _itself(targets))
        self._uncounted.clear()
        self._uncounted_elements = 0

    def _let_go(self) -> None:
        """Count what is held back, and let results that lie where a graph writes again be written over."""
        self._count()
        lent = [n for n in range(self._num_safe, len(self._unread)) if isinstance(self._unread[n][0], Lent)]
        if lent:
            for number, loss in zip(lent, stacked([self._unread[n][0] for n in lent]), strict=True):  # type: ignore[misc]
                self._unread[number] = (loss, *self._unread[number][1:])
        self._num_safe, self._num_lent = len(self._unread), 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint within an epoch keeps, but for the metric. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._read_losses()
        return {
            "weight": self._weight,
            "skipped": self.skipped,
            "loss_sum": self._loss_sum,
            "mark": list(self._at_mark),
        }

    def metric_states(self) -> list[dict[str, Any]]:
        """What this process has counted, and what it looks after. Waits for the device."""
        self._count()
        return [self.metric.state_dict(), *self._counted_before]

    def load_state_dict(self, state: dict[str, Any], metric_states: Sequence[dict[str, Any]]) -> None:
        """Go on from what ``state_dict`` gave, and from some of what ``metric_states`` gave to all processes."""
        self._weight, self.skipped, self._loss_sum = state["weight"], state["skipped"], state["loss_sum"]
        self._at_mark = (state["mark"][0], state["mark"][1])
        if metric_states:
            self.metric.load_state_dict(metric_states[0])
        self._counted_before = list(metric_states[1:])


def _itself(tensor: Tensor | Lent) -> Tensor:
    return tensor.tensor if isinstance(tensor, Lent) else tensor


def _noted(number: float | Tensor | Lent) -> Any:
    """A scalar, read at once where nothing has to be waited for."""
    return number.item() if isinstance(number, Tensor) and number.is_cpu else number


def _numbers(noted: Sequence[Any]) -> list[float]:
    """Scalars, read all at once."""
    on_device = [one for one in noted if isinstance(one, Tensor | Lent)]
    if not on_device:
        return list(noted)
    read = iter(stacked(on_device).tolist())
    return [next(read) if isinstance(one, Tensor | Lent) else one for one in noted]


def _not_finite(value: float, step: int, ids: list[int]) -> UserError:
    return UserError(
        f"the loss of step {step} is {value}",
        where=f"the batch of {len(ids)} samples {listing(ids, limit=5)}",
        expected="a finite number; every checkpoint is from before that step",
        fix="a smaller optimizer.lr, regularization=[clip], device.precision=fp32, or training.nonfinite=skip",
    )
