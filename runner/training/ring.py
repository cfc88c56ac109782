"""What a step leaves to be counted later, where a CUDA graph leaves it in the same memory each time."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from runner.training.copies import Copy, copy_all, in_bytes


class Lent(NamedTuple):
    """A tensor in a row of a ring, which will be written over."""

    ring: "Ring"
    number: int
    """Which one of a result."""
    row: int

    @property
    def block(self) -> Tensor:
        """(rows, ...) its row, and those of others."""
        self.ring.settle()
        return self.ring.blocks[self.number]

    @property
    def tensor(self) -> Tensor:
        """The tensor itself."""
        return self.block[self.row]

    def numel(self) -> int:
        """How many elements it has."""
        return self.ring.result[self.number].numel()


class Ring:
    """Keeps what a computation leaves in the same memory each time: in a row further each time, and round again.

    A result is copied to its row when somebody asks for it, or else as late as it can be: together with what is copied
    before the computation is done again.

    Args:
        rows: How many results there are before the first one is written over. If it is one, nothing is copied.
        result: The tensors that the computation leaves.
    """

    def __init__(self, rows: int, result: Sequence[Tensor]) -> None:
        self.result = result
        self.blocks = [left[None] if rows == 1 else left.new_empty((rows, *left.shape)) for left in result]
        self._copies = [self._into(row) if rows > 1 else [] for row in range(rows)]
        self._next = 0
        self._unsettled: list[Copy] = []

    def newest(self) -> tuple[Lent, ...]:
        """The result of the computation that was just done; asked for once."""
        row = self._next
        self._next = (row + 1) % len(self._copies)
        self._unsettled = self._copies[row]
        return tuple(Lent(self, number, row) for number in range(len(self.result)))

    def leaving(self) -> list[Copy]:
        """What is to be copied before the computation is done again."""
        unsettled, self._unsettled = self._unsettled, []
        return unsettled

    def settle(self) -> None:
        """Let every result be in its row."""
        if self._unsettled:
            copy_all(self.leaving())

    def _into(self, row: int) -> list[Copy]:
        return [in_bytes(Copy(block[row], left)) for block, left in zip(self.blocks, self.result, strict=True)]


def stacked(tensors: Sequence[Tensor | Lent]) -> Tensor:
    """(n, ...) a copy of tensors of the same shape."""
    return torch.cat(list(_slices(tensors)))


def joined(tensors: Sequence[Tensor | Lent]) -> Tensor:
    """Tensors of the same shape but for the first axis, one after the other along it."""
    if not any(isinstance(one, Lent) for one in tensors):
        return torch.cat(tuple(tensors))  # type: ignore[arg-type]
    pieces = [rows.flatten(0, 1) for rows in _slices(tensors)]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _slices(tensors: Sequence[Tensor | Lent]) -> Iterator[Tensor]:
    """The tensors, each as a row, in as few slices of blocks as they lie in."""
    rows = [(one.block, one.row) if isinstance(one, Lent) else (one[None], 0) for one in tensors]
    start = 0
    for number in range(1, len(rows) + 1):
        block, first = rows[start]
        if number == len(rows) or rows[number][0] is not block or rows[number][1] != first + number - start:
            yield block[first : first + number - start]
            start = number
