"""Which part of each batch one of several processes has."""

from typing import NamedTuple

import numpy as np

from runner.data.source import Array


class Part(NamedTuple):
    """What a process has of a batch."""

    num_own: int
    """Samples that count here: the others count where they belong."""
    num_all: int
    """Samples of the whole batch."""
    first: int
    """The first sample of the whole batch."""
    has_lead: bool
    """Whether the sample in front of its own comes along, which does not count."""


class Share(NamedTuple):
    """Which part: that of process ``rank`` of ``size``."""

    rank: int
    size: int

    def of(self, ids: Array, with_lead: bool = False) -> tuple[Array, Part]:
        """The samples that this process works on, of a batch ``ids`` (N,), and how they count.

        Every process gets a row of neighbours, and all get equally many or one less. Of fewer samples than processes
        each gets all, and they count for the first process alone: so all of them compute something, and statistics over
        what all of them compute are those of the batch.

        Args:
            ids: The whole batch.
            with_lead: Whether the sample in front of its own comes along, in a circle; for blending neighbours.
        """
        num_all, first = len(ids), int(ids[0])
        if num_all < self.size:
            return ids, Part(num_all if self.rank == 0 else 0, num_all, first, has_lead=False)
        start, end = (num_all * rank // self.size for rank in (self.rank, self.rank + 1))
        own = ids[start:end]
        if with_lead:
            own = np.concatenate([ids[start - 1 :][:1], own])
        return own, Part(end - start, num_all, first, with_lead)
