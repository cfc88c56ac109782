"""The mean loss of what was trained or evaluated."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from runner.errors import UserError, listing
from runner.parallel.group import Group
from runner.training.coming import Coming, Number, noted
from runner.training.shelf import Lent, stacked


class Entries:
    """What a mean is told of batches, an entry for each."""

    def __init__(self) -> None:
        self.losses: list[Number] = []
        self.weights: list[Number] = []
        self.indices: list[Tensor] = []
        """(B,) ids of its samples."""
        self.steps: list[int | None] = []
        """The update that it was for, counted from 1; None: none."""
        self.num_safe = 0
        """Of them, those before the first whose loss lies where a graph writes again."""


class Interval:
    """The losses between two points of a training curve, on their way from the device.

    Args:
        entries: Those of the interval.
        read: Sets ``read_mean``.
    """

    def __init__(self, entries: Entries, read: Callable[[], None]) -> None:
        self.entries = entries
        self.losses = Coming(entries.losses)
        self.weights = Coming(entries.weights)
        self.read_mean: float | None = None
        self._read = read

    def is_here(self) -> bool:
        """Whether ``mean`` waits for nothing."""
        return self.losses.are_here() and self.weights.are_here()

    def mean(self) -> float:
        """The mean; NaN of no batches. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        if self.read_mean is None:
            self._read()
        assert self.read_mean is not None
        return self.read_mean


class MeanLoss:
    """The mean over the samples seen so far, by all processes of a run.

    A batch is only noted; what it came to is read for many at once. The sum is taken batch by batch in their order, so
    it does not depend on when it is read.

    Args:
        group: The processes that see a part of the samples each; None: this one sees all.
    """

    def __init__(self, group: Group | None = None) -> None:
        self._group = group
        self._sum = 0.0
        self._weight: float = 0
        self._unread = Entries()
        self._interval: Interval | None = None  # one that has ended and is not read
        self._at_mark: tuple[float, float] = (0.0, 0)

    def add(self, loss: Tensor | Lent, weight: float | Tensor, indices: Tensor, step: int | None) -> None:
        """Note a batch.

        Args:
            loss: Its mean loss, a scalar.
            weight: What that counts among others.
            indices: (B,) ids of its samples.
            step: The update that it was for, counted from 1; None: none.
        """
        unread = self._unread
        unread.losses.append(noted(loss))
        unread.weights.append(noted(weight))
        unread.indices.append(indices)
        unread.steps.append(step)

    def let_go(self) -> None:
        """Let losses that lie where a graph writes again be written over."""
        losses = self._unread.losses
        lent = [n for n in range(self._unread.num_safe, len(losses)) if isinstance(losses[n], Lent)]
        if lent:
            for number, loss in zip(lent, stacked([losses[n] for n in lent]), strict=True):  # type: ignore[misc]
                losses[number] = loss
        self._unread.num_safe = len(losses)

    def mark(self) -> Interval:
        """End an interval of the training curve, and begin another one.

        Several processes, which read together, do it here; one alone waits for nothing, but that the interval before
        this one is read.
        """
        self._read_interval()
        ended = self._interval = Interval(self._unread, self._read_interval)
        self._unread = Entries()
        if self._group is not None:
            self._read_interval()
        return ended

    def value(self) -> float:
        """The mean; NaN when there are no samples. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._read()
        return self._sum / self._weight if self._weight else math.nan

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint within an epoch keeps. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._read()
        return {"loss_sum": self._sum, "weight": self._weight, "mark": list(self._at_mark)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self._sum, self._weight = state["loss_sum"], state["weight"]
        self._at_mark = (state["mark"][0], state["mark"][1])

    def _read(self) -> None:
        self._read_interval()
        self._sum_up(self._unread, Coming(self._unread.losses), Coming(self._unread.weights))
        self._unread = Entries()

    def _read_interval(self) -> None:
        if self._interval is None:
            return
        ended = self._interval
        self._sum_up(ended.entries, ended.losses, ended.weights)
        self._interval = None
        loss_before, weight_before = self._at_mark
        weight = self._weight - weight_before
        ended.read_mean = (self._sum - loss_before) / weight if weight else math.nan
        self._at_mark = (self._sum, self._weight)

    def _sum_up(self, entries: Entries, losses: Coming, weights: Coming) -> None:
        if not entries.losses:
            return
        means, counts = losses.read(), weights.read()  # by batch
        if self._group is not None:  # and within a batch by process
            of_all = self._group.numbers(torch.tensor([means, counts], dtype=torch.float64))
            means, counts = of_all.permute(1, 2, 0).flatten(1).tolist()
        if entries.steps[0] is not None and not math.isfinite(sum(means)):
            self._refuse(entries, means)
        for mean, count in zip(means, counts, strict=True):
            if count:  # else it may be the mean of nothing, which is no number
                self._sum += mean * count
                self._weight += count

    def _refuse(self, entries: Entries, means: Sequence[float]) -> None:
        number, mean = next((number, mean) for number, mean in enumerate(means) if not math.isfinite(mean))
        batch, rank = divmod(number, len(means) // len(entries.losses))
        ids = entries.indices[batch].tolist()
        step = entries.steps[batch] or 0
        raise _not_finite(mean, step, ids if self._group is None else self._group.of(rank, ids))


def _not_finite(value: float, step: int, ids: list[int]) -> UserError:
    return UserError(
        f"the loss of step {step} is {value}",
        where=f"the batch of {len(ids)} samples {listing(ids, limit=5)}",
        expected="a finite number; every checkpoint is from before that step",
        fix="a smaller optimizer.lr, regularization=[clip], device.precision=fp32, or training.nonfinite=skip",
    )
