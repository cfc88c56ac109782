"""Batches: a DataLoader over samples that are held in memory, exact about where an epoch stands."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from runner.data.random import fold
from runner.data.sampler import EpochSampler, Order
from runner.data.source import Array, Samples


class Batch(NamedTuple):
    """What a loader yields. B: number of samples in it."""

    inputs: tuple[Tensor, ...]
    """Each (B, ...) with the type of the samples: uint8 stays uint8."""
    targets: Tensor
    indices: Tensor
    """(B,) int64: which samples these are, among all samples of the source."""


class TensorStore(Dataset[tuple[Tensor, ...]]):
    """All samples as tensors that share their memory with the arrays; a batch is one gather from each.

    One store serves the loaders of all splits.
    """

    def __init__(self, samples: Samples) -> None:
        self.inputs = tuple(_shared(values) for values in samples.inputs)
        self.targets = _shared(samples.targets)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """One sample, (input_1, ..., input_k, target)."""
        return (*(values[index] for values in self.inputs), self.targets[index])

    def __getitems__(self, ids: Array) -> Batch:
        """The samples with these ids, as a batch."""
        indices = torch.from_numpy(ids)
        inputs = tuple(values.index_select(0, indices) for values in self.inputs)
        return Batch(inputs, self.targets.index_select(0, indices), indices)


class Batches:
    """The batches of one split, epoch by epoch, from any batch on.

    What an epoch yields depends on (seed, epoch) alone: not on the number of workers, on what was iterated before, or
    on the global random generators, which are neither read nor advanced.

    Args:
        store: The samples.
        indices: Ids of those that belong to the split, (N,).
        batch_size: Samples in a batch; the last one of an epoch may have fewer.
        seed: Decides the order, together with the epoch.
        order: "random", "sequential" or an order of one's own. Validation and test are sequential.
        drop_last: Leave out the last batch where it has fewer samples.
        workers: Processes that prepare batches; 0: this one.
        pin_memory: Copy batches into page-locked memory, which a GPU reads faster. Without a GPU nothing is done.
        prefetch_factor: Batches that each worker prepares in advance; None: 2.
        persistent_workers: Keep the workers from epoch to epoch.
        timeout: Seconds to wait for a worker before giving up; 0: for ever.
    """

    def __init__(
        self,
        store: TensorStore,
        indices: Array,
        batch_size: int,
        *,
        seed: int = 0,
        order: str | Order = "sequential",
        drop_last: bool = False,
        workers: int = 0,
        pin_memory: bool = False,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        timeout: float = 0,
    ) -> None:
        self.indices = indices
        self._store = store
        self._seed = seed
        self._sampler = EpochSampler(indices, batch_size, seed, order, drop_last)
        self._generator = torch.Generator()
        self._loader: DataLoader[Batch] = DataLoader(
            store,  # type: ignore[arg-type]  # typed for datasets that give one sample at a time
            batch_sampler=self._sampler,  # type: ignore[arg-type]
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            generator=self._generator,
            num_workers=workers,
            pin_memory=pin_memory and torch.cuda.is_available(),
            # The rest is refused by DataLoader where there are no workers.
            prefetch_factor=prefetch_factor if workers else None,
            persistent_workers=persistent_workers and workers > 0,
            timeout=timeout if workers else 0,
        )

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self._sampler)

    def first(self, count: int) -> Batch:
        """The first ``count`` samples of the split as a batch, to try something out on."""
        return self._store.__getitems__(self.indices[:count])

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from batch ``start`` on; those before it are not loaded.

        With persistent workers an iterator that was abandoned half-way must not be used any more.
        """
        self._sampler.set(epoch, start)
        # DataLoader draws the seed of its workers here.
        self._generator.manual_seed(fold(self._seed, epoch))
        return iter(self._loader)


def _shared(values: Array) -> Tensor:
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _as_it_is(batch: Batch) -> Batch:
    return batch
