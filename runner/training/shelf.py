"""What a step leaves to be counted later: tensors of a kind next to each other, a row for each step."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 64
"""Of a block; whoever keeps more of a kind keeps them in several blocks."""

_LARGE = 10_000
"""Elements from which on a tensor is kept as it is: a copy would cost more than it saves."""


class Kept(NamedTuple):
    """A tensor in a row of a block."""

    block: Tensor
    """(rows, ...)"""
    row: int

    @property
    def tensor(self) -> Tensor:
        """The tensor itself."""
        return self.block[self.row]

    @property
    def elements(self) -> int:
        """How many it has."""
        return self.block.numel() // len(self.block)


class Shelf:
    """Keeps copies of small tensors on the CPU, in blocks made for many of a kind at once.

    The C library puts a small tensor into the gap that a large one has just left, such as the gradient of the step
    before. As long as it is kept, the next gradient does not fit there and gets memory that the processor has not in
    its cache, or has never seen. Next to each other, the small ones leave the gaps alone. A GPU's allocator keeps small
    and large apart by itself.
    """

    def __init__(self) -> None:
        self._free: defaultdict[tuple[torch.Size, torch.dtype], list[tuple[Tensor, Kept]]] = defaultdict(list)

    def keep(self, tensor: Tensor | Kept) -> Kept:
        """A copy of a tensor, to be kept as long as one likes; a large one, a GPU's, or one that is kept is itself."""
        if isinstance(tensor, Kept):
            return tensor
        if not tensor.is_cpu or tensor.numel() >= _LARGE:
            return Kept(tensor[None], 0)
        free = self._free[tensor.shape, tensor.dtype]
        if not free:
            block = tensor.new_empty((ROWS, *tensor.shape))
            free.extend((row, Kept(block, number)) for number, row in reversed([*enumerate(block.unbind())]))
        row, kept = free.pop()
        row.copy_(tensor)
        return kept


class Ring:
    """Keeps what one and the same computation leaves each time it is done: a row further each time, and round again.

    The computation itself moves on, so that it can be one that is captured on a GPU.

    Args:
        rows: How many results there are before the first one is overwritten.
        examples: A result: tensors whose shapes and types all others have.
    """

    def __init__(self, rows: int, examples: Sequence[Tensor]) -> None:
        self._turn = torch.zeros(rows, dtype=torch.bool, device=examples[0].device)  # which row is next
        self._blocks = [example.new_empty((rows, *example.shape)) for example in examples]
        self._kept = [tuple(Kept(block, row) for block in self._blocks) for row in range(rows)]
        self.restart()

    def restart(self) -> None:
        """Begin with the first row."""
        self._turn.copy_(torch.arange(len(self._turn)) == 0)
        self._next = 0

    def write(self, result: Sequence[Tensor]) -> None:
        """Part of the computation: put a result into the next row."""
        for block, values in zip(self._blocks, result, strict=True):
            # Unlike what takes an index, this has the same few kernels where torch is to be deterministic.
            torch.where(self._turn.view(-1, *[1] * values.ndim), values, block, out=block)
        self._turn.copy_(self._turn.roll(1))

    def newest(self) -> tuple[Kept, ...]:
        """The oldest result that has not been asked for."""
        kept = self._kept[self._next]
        self._next = (self._next + 1) % len(self._kept)
        return kept


def stacked(kept: Sequence[Kept]) -> Tensor:
    """(n, ...) tensors of the same shape, in one."""
    pieces = _pieces(kept)
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def joined(kept: Sequence[Kept]) -> Tensor:
    """Tensors of the same shape but for the first axis, one after the other along it."""
    pieces = [piece.flatten(0, 1) for piece in _pieces(kept)]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _pieces(kept: Sequence[Kept]) -> list[Tensor]:
    """The same rows, in as few slices of blocks as they lie in."""
    pieces = []
    start, (block, row) = 0, kept[0]
    for number, (another, its_row) in enumerate(kept):
        if another is not block or its_row != row + number - start:
            pieces.append(block[row : row + number - start])
            start, block, row = number, another, its_row
    pieces.append(block[row : row + len(kept) - start])
    return pieces
