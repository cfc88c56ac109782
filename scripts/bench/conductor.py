"""Interleaving a training loop with a hand-written one inside one process, whatever the loop is.

A framework owns its loop, but it has to ask for batches. The loader that it gets hands out blocks of ready-made batches
and runs the hand-written loop between two blocks, for as many steps. So both see the same machine at the same time, and
the difference of two neighbouring blocks is what the framework adds. A framework that fetches some batches ahead does
so in every block alike, so a block still costs the work of as many steps as it has.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader

WARM_UP = 2  # blocks that are not counted


class Conductor(DataLoader[Any]):
    """A loader of ready-made batches that times whoever iterates over it against a hand-written step.

    It is a ``DataLoader`` of the right size because some frameworks take nothing else, and does nothing of what one
    does.

    Args:
        batches: Ready-made, handed out in turns.
        hand_step: The hand-written training step on such a batch.
        block: Steps in a block.
        blocks: Pairs of blocks that are counted.
    """

    def __init__(self, batches: Sequence[Any], hand_step: Callable[[Any], object], block: int, blocks: int) -> None:
        size = len(batches[0][1])
        super().__init__(range(size * block * (blocks + WARM_UP + 1)), batch_size=size)  # type: ignore[arg-type]
        self._batches = batches
        self._hand_step = hand_step
        self._block = block
        self._num_blocks = blocks + WARM_UP + 1  # the last one is not timed: nobody need ask for a batch after it
        self.theirs: list[float] = []
        """Seconds of each block of the loop that iterates."""
        self.by_hand: list[float] = []
        """Seconds of the hand-written block before it."""

    def __len__(self) -> int:
        return self._block * self._num_blocks

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        theirs, ours = itertools.cycle(self._batches), itertools.cycle(self._batches)
        clock, step = time.perf_counter, self._hand_step
        for number in range(self._num_blocks):
            batches = list(itertools.islice(ours, self._block))
            began = clock()
            for batch in batches:
                step(batch)
            by_hand = clock() - began
            batches = list(itertools.islice(theirs, self._block))
            began = clock()
            yield from batches
            if WARM_UP <= number < self._num_blocks - 1:
                self.theirs.append(clock() - began)
                self.by_hand.append(by_hand)

    def added_us(self) -> list[float]:
        """Microseconds a step that the loop adds to the hand-written one, by pair of blocks."""
        pairs = zip(self.theirs, self.by_hand, strict=True)
        return [1e6 * (theirs - by_hand) / self._block for theirs, by_hand in pairs]

    def hand_us(self) -> list[float]:
        """Microseconds of a hand-written step, by block."""
        return [1e6 * seconds / self._block for seconds in self.by_hand]

    def figures(self) -> dict[str, list[float]]:
        """Both, for the process that compares."""
        return {"added_us": self.added_us(), "hand_us": self.hand_us()}
