"""What a step leaves to be counted later, kept out of the way of what comes and goes with each."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 64
"""Of a block of tensors of a kind; whoever keeps more of a kind keeps them in several."""

_LARGE = 10_000
"""Elements from which on a tensor is kept as it is: a copy would cost more than it saves."""


class Shelf:
    """Copies of small tensors on the CPU, in blocks made for many of a kind at once.

    The C library puts a small tensor into the gap that a large one has just left, such as the gradient of the step
    before. As long as it is kept, the next gradient does not fit there and gets memory that the processor has not in
    its cache, or has never seen. Next to each other, the small ones leave the gaps alone. A GPU's allocator keeps small
    and large apart by itself.
    """

    def __init__(self) -> None:
        self._free: defaultdict[tuple[torch.Size, torch.dtype], list[Tensor]] = defaultdict(list)

    def keep(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor without a graph, to be kept as long as one likes; a large one, or a GPU's, is itself."""
        if tensor.is_cpu and tensor.numel() < _LARGE:
            free = self._free[tensor.shape, tensor.dtype]
            if not free:
                free.extend(tensor.new_empty((ROWS, *tensor.shape)).unbind())
            return free.pop().copy_(tensor)
        return tensor


class Lent(NamedTuple):
    """A tensor in a row of a block that will be written over."""

    block: Tensor
    """(rows, ...)"""
    row: int

    @property
    def tensor(self) -> Tensor:
        """The tensor itself."""
        return self.block[self.row]

    def numel(self) -> int:
        """How many elements it has."""
        return self.block.numel() // len(self.block)


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
        self._results = [tuple(Lent(block, row) for block in self._blocks) for row in range(rows)]
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

    def newest(self) -> tuple[Lent, ...]:
        """The oldest result that has not been asked for."""
        result = self._results[self._next]
        self._next = (self._next + 1) % len(self._results)
        return result


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
    rows = [one if isinstance(one, Lent) else Lent(one[None], 0) for one in tensors]
    start = 0
    for number in range(1, len(rows) + 1):
        block, first = rows[start]
        if number == len(rows) or rows[number].block is not block or rows[number].row != first + number - start:
            yield block[first : first + number - start]
            start = number
