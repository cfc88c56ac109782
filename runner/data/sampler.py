"""In which order the samples of an epoch come, and how they are cut into batches.

An order is a function of (seed, epoch) alone, so an epoch can be entered at any batch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from runner.data.random import fold
from runner.data.source import Array
from runner.errors import UserError, listing, nearest


class Order(Protocol):
    """Which samples an epoch has, as positions within a list of samples."""

    def __len__(self) -> int:
        """Number of samples in an epoch."""
        ...

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Positions (len(self),) int64, for a generator that was seeded for the epoch."""
        ...


class Sequential:
    """All samples as they stand.

    Args:
        count: Number of samples.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Positions (len(self),) int64; the generator is not used."""
        return torch.arange(self._count)


class Random:
    """All samples in an order that is new in every epoch.

    Args:
        count: Number of samples.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Positions (len(self),) int64, shuffled."""
        return torch.randperm(self._count, generator=generator)


class Weighted:
    """Samples drawn by weight, as ``torch.utils.data.WeightedRandomSampler`` draws them.

    Args:
        weights: (N,) floating point, 0 or more: how often each sample comes compared to the others.
        num_samples: How many are drawn in an epoch; None: N.
        replacement: Whether a sample can be drawn twice in an epoch.

    Raises:
        UserError: If there are not that many samples to draw without replacement.
    """

    def __init__(self, weights: Tensor, num_samples: int | None = None, replacement: bool = True) -> None:
        self._weights = weights.double()
        self._count = len(weights) if num_samples is None else num_samples
        self._replacement = replacement
        drawable = int((weights > 0).sum())
        if not drawable:
            raise UserError("the weights leave no sample that could be drawn", expected="a weight above 0")
        if not replacement and drawable < self._count:
            raise UserError(
                f"data.num_samples={self._count}, but only {drawable} samples have a weight above 0",
                fix=f"data.num_samples={drawable}, or data.replacement=true",
            )

    def __len__(self) -> int:
        return self._count

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Positions (len(self),) int64, drawn."""
        return torch.multinomial(self._weights, self._count, self._replacement, generator=generator)


def class_weighted(
    classes: Array,
    weights: Sequence[float] | None,
    num_samples: int | None = None,
    replacement: bool = True,
    num_classes: int | None = None,
) -> Weighted:
    """Samples drawn so that each class comes as often as its weight says.

    Args:
        classes: (N,) int64, the class of each sample; those below 0, which a loss may ignore, are never drawn.
        weights: One for each class; None: all classes equally often.
        num_samples: How many are drawn in an epoch; None: N.
        replacement: Whether a sample can be drawn twice in an epoch.
        num_classes: How many classes the data has, of which the last may be missing here; None: as ``classes`` says.

    Raises:
        UserError: If there is not a weight for each class, or there are not enough samples.
    """
    has_class = classes >= 0
    counts = np.bincount(classes[has_class])
    num_classes = num_classes or len(counts)
    if weights is None:
        weights = [1.0] * num_classes
    if len(weights) != num_classes:
        raise UserError(
            f"data.class_weights has {len(weights)} numbers, and the data {num_classes} classes",
            expected="a number for each class",
        )
    # A class of half the samples gets twice the weight for each of them.
    per_sample = np.zeros(len(classes))
    per_sample[has_class] = (np.asarray(weights, dtype=np.float64)[: len(counts)] / counts.clip(1))[classes[has_class]]
    return Weighted(torch.from_numpy(per_sample), num_samples, replacement)


ORDERS: dict[str, Callable[[int], Order]] = {"random": Random, "sequential": Sequential}


class EpochSampler(Sampler[Array]):
    """Yields the sample ids of one batch after another, each as an array (batch_size,) int64.

    Args:
        indices: Ids of the samples to choose from, (N,).
        batch_size: Samples in a batch; the last one of an epoch may have fewer.
        seed: Decides the order, together with the epoch.
        order: A name of ``ORDERS``, or an order of one's own.
        drop_last: Leave out the last batch where it has fewer samples.

    Raises:
        UserError: If the order has another name, or every batch would be left out.
    """

    def __init__(
        self,
        indices: Array,
        batch_size: int,
        seed: int = 0,
        order: str | Order = "sequential",
        drop_last: bool = False,
    ) -> None:
        if isinstance(order, str):
            if order not in ORDERS:
                raise UserError(f"data.order={order}", expected=listing(ORDERS), nearest=nearest(order, ORDERS))
            order = ORDERS[order](len(indices))
        if drop_last and len(order) < batch_size:
            raise UserError(
                f"data.drop_last=true leaves no batch: {len(order)} samples do not fill data.batch_size={batch_size}",
                fix=f"data.drop_last=false, or data.batch_size={len(order)}",
            )
        self._indices = np.asarray(indices, dtype=np.int64)
        self._batch_size = batch_size
        self._seed = seed
        self._order = order
        self._drop_last = drop_last
        self._epoch = 0
        self._start = 0

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        full, rest = divmod(len(self._order), self._batch_size)
        return full + (rest > 0 and not self._drop_last)

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration yields."""
        return self._epoch

    def set(self, epoch: int, start: int = 0) -> None:
        """Choose what the next iteration yields: epoch ``epoch`` from batch ``start`` on."""
        self._epoch = epoch
        self._start = start

    def __iter__(self) -> Iterator[Array]:
        # Bound here, not when the first batch is asked for: set() may be called again in between.
        ids = self._ids(self._epoch)
        size = self._batch_size
        return (ids[batch * size : (batch + 1) * size] for batch in range(self._start, len(self)))

    def _ids(self, epoch: int) -> Array:
        generator = torch.Generator().manual_seed(fold(self._seed, epoch))
        ids: Array = self._indices[self._order(generator).numpy()]
        return ids
