"""Batches: a DataLoader over samples, exact about where an epoch stands."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from runner.data.random import fold
from runner.data.sampler import EpochSampler, Order
from runner.data.share import Part, Share
from runner.data.source import Array, Lazy, Samples
from runner.errors import UserError
from runner.processes import end_with_parent

_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""By which terminals and batch systems ask a run to stop: not only the process that trains, but all of its group."""
_OUTLIVES_S = 20
"""How long a worker goes on after it was told to end by something else than its loader."""


class Batch(NamedTuple):
    """What a loader yields. B: number of samples in it."""

    inputs: tuple[Tensor, ...]
    """Each (B, ...) with the type of the samples: uint8 stays uint8."""
    targets: Tensor
    indices: Tensor
    """(B,) int64: which samples these are, among all samples of the source."""
    part: Part | None = None
    """How they belong to a batch that several processes share; None: they are all of it."""

    @property
    def num_own(self) -> int:
        """How many of them count in this process."""
        return self.indices.numel() if self.part is None else self.part.num_own

    @property
    def num_all(self) -> int:
        """Samples of the batch in all processes."""
        return self.indices.numel() if self.part is None else self.part.num_all


class TensorStore:
    """All samples; a batch is one gather from each input and the targets.

    What is held in memory becomes tensors that share it; what is lazy is decoded, or read from a cache on the disk, by
    whoever makes the batch. One store serves the loaders of all splits.
    """

    def __init__(self, samples: Samples) -> None:
        self.inputs = tuple(_shared(values) for values in samples.inputs)
        self.targets = _shared(samples.targets)

    def batch(self, ids: Array) -> Batch:
        """The samples with these ids (B,).

        Raises:
            UserError: If the file of one cannot be decoded; the message names it.
        """
        indices = torch.from_numpy(ids)
        inputs = tuple(_gather(values, indices) for values in self.inputs)
        return Batch(inputs, _gather(self.targets, indices), indices)


Change = Callable[[Batch, int], Batch]
"""Something that is done to a batch where it is made; it is told the epoch, and may depend on nothing else."""


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
        changes: What is done to each batch where it is made, in this order.
        share: Which part of each batch this process has; None: all of it.
        with_lead: Whether the sample in front of that part comes along.
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
        changes: Sequence[Change] = (),
        share: Share | None = None,
        with_lead: bool = False,
    ) -> None:
        self.indices = indices
        self.batch_size = batch_size
        self.part_size = batch_size if share is None else len(share.of(np.arange(batch_size))[0])
        """Samples that this process has of a full batch."""
        self._told = _Told(store, changes)
        self._seed = seed
        self._sampler = EpochSampler(indices, batch_size, seed, order, drop_last)
        self._generator = torch.Generator()
        self._loader: DataLoader[Batch | UserError] = DataLoader(
            self._told,
            batch_sampler=_Wanting(self._sampler, share, with_lead),  # type: ignore[arg-type]
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            generator=self._generator,
            num_workers=workers,
            pin_memory=pin_memory and torch.cuda.is_available(),
            # The rest is refused by DataLoader where there are no workers.
            prefetch_factor=prefetch_factor if workers else None,
            persistent_workers=persistent_workers and workers > 0,
            timeout=timeout if workers else 0,
            worker_init_fn=_leave_requests_to_parent,
        )

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self._sampler)

    def first(self, count: int) -> Batch:
        """The first ``count`` samples of the split as a batch of epoch 0, to try something out on."""
        return self.some(self.indices[:count])

    def some(self, ids: Array, epoch: int = 0) -> Batch:
        """The samples with these ids (B,) as they are in an epoch."""
        return _or_raise(self._told.__getitems__((epoch, np.asarray(ids, dtype=np.int64), None)))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from batch ``start`` on; those before it are not loaded.

        With persistent workers an iterator that was abandoned half-way must not be used any more.

        Raises:
            UserError: By the iterator, in place of a batch that cannot be made.
        """
        self._sampler.set(epoch, start)
        # DataLoader draws the seed of its workers here.
        self._generator.manual_seed(fold(self._seed, epoch))
        with _requests_held_back():
            return map(_or_raise, iter(self._loader))


_Wanted = tuple[int, Array, Part | None]
"""A batch that is to be made: the epoch, its samples, and what they are of a batch that is shared.

The epoch is told with each: a worker that is kept knows of it by nothing else.
"""


class _Told(Dataset[Batch | UserError]):
    """What DataLoader reads: batches of a store, changed. A user's mistake is handed over like a batch.

    Raised in a worker, it would come out as a text with the traceback of the worker.
    """

    def __init__(self, store: TensorStore, changes: Sequence[Change]) -> None:
        self._store = store
        self._changes = tuple(changes)

    def __getitems__(self, wanted: _Wanted) -> Batch | UserError:
        epoch, ids, part = wanted
        try:
            batch = self._store.batch(ids)
            for change in self._changes:
                batch = change(batch, epoch)
            return batch if part is None else batch._replace(part=part)
        except UserError as error:
            return error


class _Wanting(Sampler[_Wanted]):
    """The batches of an epoch's sampler, or the part of each that this process has."""

    def __init__(self, sampler: EpochSampler, share: Share | None, with_lead: bool) -> None:
        self._sampler = sampler
        self._share = share
        self._with_lead = with_lead

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[_Wanted]:
        epoch, batches = self._sampler.epoch, iter(self._sampler)
        if self._share is None:
            return ((epoch, ids, None) for ids in batches)
        return ((epoch, *self._share.of(ids, self._with_lead)) for ids in batches)


def _or_raise(batch: Batch | UserError) -> Batch:
    if isinstance(batch, UserError):
        try:
            raise batch
        finally:
            del batch  # the traceback knows this frame: the error and the loader, with its workers, would live on
    return batch


def _shared(values: Array | Lazy) -> Tensor | Lazy:
    if isinstance(values, np.ndarray):
        return torch.from_numpy(np.require(values, requirements=["C", "W"]))
    return values


def _gather(values: Tensor | Lazy, indices: Tensor) -> Tensor:
    if isinstance(values, Tensor):
        return values.index_select(0, indices)
    return torch.from_numpy(values.gather(indices.numpy()))


@contextmanager
def _requests_held_back() -> Iterator[None]:
    """Let signals wait while workers start, who inherit that: one that came too early would end them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_requests_to_parent(worker: int) -> None:
    """Let a worker go on when its run is asked to stop: the step that is under way needs its batch.

    The process that trains decides; its workers end with their loader, and soon after they were told to if there is
    nobody left to end them.
    """
    if multiprocessing.get_start_method() != "forkserver":  # there the parent is another process
        end_with_parent()  # torch's own watch misses a parent that dies before the watch begins

    def end_later(number: int, frame: FrameType | None) -> None:
        signal.alarm(_OUTLIVES_S)

    for number in _REQUESTS:
        signal.signal(number, end_later if number == signal.SIGTERM else signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)


def _as_it_is(batch: Batch | UserError) -> Batch | UserError:
    return batch
