"""The mean loss of what was trained or evaluated."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from runner.errors import UserError, listing
from runner.parallel.group import Group
from runner.training.coming import Coming, Number, known
from runner.training.ring import Lent, stacked


class Entry(NamedTuple):
    """What a mean is told of a batch."""

    loss: Number
    weight: Number
    indices: Tensor
    """(B,) ids of its samples."""
    step: int | None
    """The update that it was for, counted from 1; None: none."""


class Interval:
    """The losses between two points of a training curve, on their way from the device.

    Args:
        entries: Those of the interval.
        read: Sets ``read_mean``.
    """

    def __init__(self, entries: Sequence[Entry], read: Callable[[], None]) -> None:
        self.entries = entries
        self.losses = Coming([entry.loss for entry in entries])
        self.weights = Coming([entry.weight for entry in entries])
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
        self._unread: list[Entry] = []
        self._num_safe = 0  # of these, those before the first that is still where the step has left it
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
        self._unread.append(Entry(loss, weight, indices, step))

    def let_go(self) -> None:
        """Hold no number any more where the step has left it: there it would be in the way, or be written over."""
        unsafe = self._unread[self._num_safe :]
        lent = [entry.loss for entry in unsafe if isinstance(entry.loss, Lent)]
        copies = iter(stacked(lent) if lent else ())
        self._unread[self._num_safe :] = [
            entry._replace(
                loss=next(copies) if isinstance(entry.loss, Lent) else known(entry.loss), weight=known(entry.weight)
            )
            for entry in unsafe
        ]
        self._num_safe = len(self._unread)

    def mark(self) -> Interval:
        """End an interval of the training curve, and begin another one.

        Several processes, which read together, do it here; one alone waits for nothing, but that the interval before
        this one is read.
        """
        self._read_interval()
        ended = self._interval = Interval(self._forget_unread(), self._read_interval)
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
        self._sum_up(Interval(self._forget_unread(), self._read_interval))

    def _forget_unread(self) -> list[Entry]:
        unread, self._unread, self._num_safe = self._unread, [], 0
        return unread

    def _read_interval(self) -> None:
        if self._interval is None:
            return
        ended = self._interval
        self._sum_up(ended)
        self._interval = None
        loss_before, weight_before = self._at_mark
        weight = self._weight - weight_before
        ended.read_mean = (self._sum - loss_before) / weight if weight else math.nan
        self._at_mark = (self._sum, self._weight)

    def _sum_up(self, ended: Interval) -> None:
        if not ended.entries:
            return
        means, counts = ended.losses.read(), ended.weights.read()  # by batch
        if self._group is not None:  # and within a batch by process
            of_all = self._group.numbers(torch.tensor([means, counts], dtype=torch.float64))
            means, counts = of_all.permute(1, 2, 0).flatten(1).tolist()
        if ended.entries[0].step is not None and not math.isfinite(sum(means)):
            self._refuse(ended.entries, means)
        for mean, count in zip(means, counts, strict=True):
            if count:  # else it may be the mean of nothing, which is no number
                self._sum += mean * count
                self._weight += count

    def _refuse(self, entries: Sequence[Entry], means: Sequence[float]) -> None:
        number, mean = next((number, mean) for number, mean in enumerate(means) if not math.isfinite(mean))
        batch, rank = divmod(number, len(means) // len(entries))
        ids, step = entries[batch].indices.tolist(), entries[batch].step or 0
        raise _not_finite(mean, step, ids if self._group is None else self._group.of(rank, ids))


def _not_finite(value: float, step: int, ids: list[int]) -> UserError:
    return UserError(
        f"the loss of step {step} is {value}",
        where=f"the batch of {len(ids)} samples {listing(ids, limit=5)}",
        expected="a finite number; every checkpoint is from before that step",
        fix="a smaller optimizer.lr, regularization=[clip], device.precision=fp32, or training.nonfinite=skip",
    )
