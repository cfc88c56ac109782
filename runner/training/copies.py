"""Several small copies at the price of one."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

_SMALL = 2**13
"""Bytes up to which a copy takes a GPU less time than its start does; one by one, larger ones get more of its cores."""


class Copy(NamedTuple):
    """What is to be copied."""

    to: Tensor
    source: Tensor
    """Of the same shape."""


def in_bytes(copy: Copy) -> Copy:
    """The same byte by byte, if it is small and both lie in one piece, so that it can be made with those of any type.

    Worked out beforehand for tensors that stay where they are, it need not be at each copy.
    """
    to, source = copy
    if source.nbytes > _SMALL or to.dtype != source.dtype or not (to.is_contiguous() and source.is_contiguous()):
        return copy
    return Copy(to.view(-1).view(torch.uint8), source.view(-1).view(torch.uint8))


def copy_all(copies: Iterable[Copy]) -> None:
    """Make copies within a device, in no order; of small ones a GPU makes all at once."""
    together: tuple[list[Tensor], list[Tensor]] = [], []
    for copy in copies:
        to, source = copy if copy.to.dtype == torch.uint8 else in_bytes(copy)
        if to.dtype == source.dtype == torch.uint8 and source.nbytes <= _SMALL:
            together[0].append(to)
            together[1].append(source)
        else:
            to.copy_(source)
    if together[0]:
        torch._foreach_copy_(*together)
