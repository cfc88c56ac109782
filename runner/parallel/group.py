"""What the processes of a run tell each other while it trains.

Every method is called by all of them, in the same order. What is told in texts and small numbers goes through the
memory of the CPU, so that no GPU is waited for.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.distributed_c10d import PrefixStore

from runner.parallel.meeting import Meeting

T = TypeVar("T")

_PATIENCE = timedelta(hours=1)
"""How long one process waits for what another does, which may be reading data. One that has died is noticed at once."""
_GONE = ("gloo", "NCCL", "closed by peer", "reset by peer", "Broken pipe")
"""What errors of torch say when another process has gone."""


class Group:
    """The processes of a run.

    Args:
        meeting: Where they found each other.
    """

    def __init__(self, meeting: Meeting) -> None:
        self.rank = meeting.place.rank
        self.size = meeting.place.world_size
        self.small = _new_group()
        """For libraries that talk through the memory of the CPU too."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, by rank: tensors and plain values, however nested."""
        return self._collected(value, for_all=True)

    def at_first(self, value: T) -> list[T]:
        """The values of all processes, by rank, for the first one; nothing for the others."""
        return self._collected(value, for_all=False)

    def _collected(self, value: T, for_all: bool) -> list[T]:
        packed = _packed(value)
        sizes = self.numbers(torch.tensor(packed.numel()))
        padded = torch.nn.functional.pad(packed, (0, int(sizes.max()) - packed.numel()))
        parts = [torch.empty_like(padded) for _ in range(self.size)] if for_all or self.is_first else []
        if for_all:
            dist.all_gather(parts, padded, group=self.small)
        else:
            dist.gather(padded, parts or None, group=self.small)
        return [_unpacked(part[:size]) for part, size in zip(parts, sizes.tolist(), strict=False)]

    def numbers(self, mine: Tensor) -> Tensor:
        """The numbers (size, ...) of all processes, by rank, from (...) of each, of one shape everywhere."""
        of_each = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(of_each, mine, group=self.small)
        return torch.stack(of_each)

    def of(self, rank: int, value: T) -> T:
        """The value that one process has; what the others give does not matter."""
        packed = _packed(value) if rank == self.rank else torch.empty(0, dtype=torch.uint8)
        size = torch.tensor([packed.numel()])
        dist.broadcast(size, rank, group=self.small)
        if rank != self.rank:
            packed = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(packed, rank, group=self.small)
        received: T = _unpacked(packed)
        return received

    def any(self, mine: bool) -> bool:
        """Whether it is so for any process."""
        return bool(self.numbers(torch.tensor(int(mine))).any())

    def alike(self, key: Any) -> tuple[int, int]:
        """Among the processes that give the same key, the position of this one, counted from 0, and their number."""
        ranks = [rank for rank, other in enumerate(self.gathered(key)) if other == key]
        return ranks.index(self.rank), len(ranks)

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors, on any device, with those of the first process."""
        for tensor in tensors:
            dist.broadcast(tensor, 0)

    def sum(self, mine: Tensor) -> Tensor:
        """The sum over all processes of a tensor on any device; no GPU is waited for."""
        total = mine.clone()
        dist.all_reduce(total)
        return total

    def vote(self) -> "Vote":
        """A vote of these processes."""
        return Vote(_new_group())

    def wait(self) -> None:
        """Return when all processes are here."""
        dist.barrier(group=self.small)


def gone(error: BaseException) -> str | None:
    """What an error says of another process that has gone; None if it is about something else."""
    told = str(error)
    if not isinstance(error, RuntimeError) or not any(text in told for text in _GONE):
        return None
    return re.sub(r"^\[[^]]*\] ", "", told).partition(". ")[0]  # without the place in torch's source, and its advice


class Vote:
    """The largest of the numbers that the processes give, known at the next call.

    So no process waits for the others: by then, a training step later, the answer has long come.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self._pending: tuple[Any, Tensor] | None = None

    def __call__(self, mine: int) -> int:
        """Give a number, 0 or more, and learn what the call before this one came to; 0 at the first."""
        found = self.settled()
        number = torch.tensor(mine)
        self._pending = dist.all_reduce(number, dist.ReduceOp.MAX, group=self._group, async_op=True), number
        return found

    def settled(self) -> int:
        """What the last call came to. Waits for the others to have made it."""
        if self._pending is None:
            return 0
        work, number = self._pending
        self._pending = None
        work.wait()
        return int(number)


@contextmanager
def formed(meeting: Meeting, on_gpu: bool) -> Iterator[Group]:
    """The group of all processes that meet, until the block is left.

    Args:
        meeting: Where they find each other.
        on_gpu: Whether they compute on GPUs of NVIDIA, and talk through NCCL there.
    """
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=PrefixStore("group", meeting.store),
        rank=meeting.place.rank,
        world_size=meeting.place.world_size,
        timeout=_PATIENCE,
    )
    try:
        yield Group(meeting)
    finally:
        dist.destroy_process_group()


def _new_group() -> ProcessGroup:
    """All processes, for what they tell each other through the memory of the CPU."""
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    assert isinstance(group, ProcessGroup), "every process belongs to it"
    return group


def _packed(value: Any) -> Tensor:
    """(num_bytes,) uint8: what ``torch.save`` writes, so that nothing can be in it that runs code when it is read."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return torch.frombuffer(bytearray(buffer.getbuffer()), dtype=torch.uint8)


def _unpacked(packed: Tensor) -> Any:
    return torch.load(io.BytesIO(packed.numpy().tobytes()), weights_only=True)
