"""The mean loss of what was trained or evaluated."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from runner.errors import UserError, listing
from runner.parallel.group import Group
from runner.training.coming import Coming, Number, noted
from runner.training.shelf import Lent, stacked


class Noted(NamedTuple):
    """What a mean is told of a batch."""

    loss: Number
    """Its mean loss."""
    weight: Number
    """What that counts among others."""
    indices: Tensor
    """(B,) ids of its samples."""
    step: int | None
    """The update that it was for, counted from 1; None: none."""


class Interval:
    """The losses between two points of a training curve, on their way from the device.

    Args:
        batches: Those of the interval.
        read: Sets ``read_mean``.
    """

    def __init__(self, batches: list[Noted], read: Callable[[], None]) -> None:
        self.batches = batches
        self.losses = Coming([one.loss for one in batches])
        self.weights = Coming([one.weight for one in batches])
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
        self._unread: list[Noted] = []
        self._num_safe = 0  # of the unread ones: those before the first that lies where a graph writes again
        self._interval: Interval | None = None  # one that has ended and is not read
        self._at_mark: tuple[float, float] = (0.0, 0)

    def add(self, loss: Tensor | Lent, weight: float | Tensor, indices: Tensor, step: int | None) -> None:
        """Note a batch, as ``Noted`` has it."""
        self._unread.append(Noted(noted(loss), noted(weight), indices, step))

    def let_go(self) -> None:
        """Let losses that lie where a graph writes again be written over."""
        lent = [n for n in range(self._num_safe, len(self._unread)) if isinstance(self._unread[n].loss, Lent)]
        if lent:
            for number, loss in zip(lent, stacked([self._unread[n].loss for n in lent]), strict=True):  # type: ignore[misc]
                self._unread[number] = self._unread[number]._replace(loss=loss)
        self._num_safe = len(self._unread)

    def mark(self) -> Interval:
        """End an interval of the training curve, and begin another one.

        Several processes, which read together, do it here; one alone waits for nothing, but that the interval before
        this one is read.
        """
        self._read_interval()
        self._interval = Interval(self._unread, self._read_interval)
        self._unread, self._num_safe = [], 0
        ended = self._interval
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
        if self._unread:
            losses, weights, _, _ = zip(*self._unread, strict=True)
            self._sum_up(self._unread, Coming(losses), Coming(weights))
            self._unread, self._num_safe = [], 0

    def _read_interval(self) -> None:
        if self._interval is None:
            return
        ended = self._interval
        self._sum_up(ended.batches, ended.losses, ended.weights)
        self._interval = None
        loss_before, weight_before = self._at_mark
        weight = self._weight - weight_before
        ended.read_mean = (self._sum - loss_before) / weight if weight else math.nan
        self._at_mark = (self._sum, self._weight)

    def _sum_up(self, batches: Sequence[Noted], losses: Coming, weights: Coming) -> None:
        if not batches:
            return
        means = list(zip(losses.read(), weights.read(), strict=True))  # by batch
        if self._group is not None:  # and within a batch by process
            of_this = torch.tensor([[one] for one in means], dtype=torch.float64)
            means = self._group.numbers(of_this).squeeze(2).transpose(0, 1).flatten(0, 1).tolist()
        if batches[0].step is not None and not math.isfinite(sum(loss for loss, _ in means)):
            self._refuse(batches, [loss for loss, _ in means])
        for loss, weight in means:
            if weight:  # else it may be the mean of nothing, which is no number
                self._sum += loss * weight
                self._weight += weight

    def _refuse(self, batches: Sequence[Noted], losses: Sequence[float]) -> None:
        number, loss = next((number, loss) for number, loss in enumerate(losses) if not math.isfinite(loss))
        batch, rank = divmod(number, len(losses) // len(batches))
        _, _, indices, step = batches[batch]
        ids = indices.tolist()
        raise _not_finite(loss, step or 0, ids if self._group is None else self._group.of(rank, ids))


def _not_finite(value: float, step: int, ids: list[int]) -> UserError:
    return UserError(
        f"the loss of step {step} is {value}",
        where=f"the batch of {len(ids)} samples {listing(ids, limit=5)}",
        expected="a finite number; every checkpoint is from before that step",
        fix="a smaller optimizer.lr, regularization=[clip], device.precision=fp32, or training.nonfinite=skip",
    )
