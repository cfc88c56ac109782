"""Several small copies at the price of one."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_SMALL = 2**16
"""Bytes up to which a copy takes a GPU less time than its start does; one by one, larger ones get more of its cores."""


class Copy(NamedTuple):
    """What is to be copied."""

    to: Tensor
    source: Tensor
    """Of the same shape."""


def copy_all(copies: Sequence[Copy]) -> None:
    """Make copies within a device, in no order; of small ones a GPU makes all at once."""
    targets, sources = [], []
    for to, source in copies:
        alike = to.dtype == source.dtype and to.is_contiguous() and source.is_contiguous()
        if alike and source.nbytes <= _SMALL:
            targets.append(_bytes(to))  # those of one type go together, and as bytes all are
            sources.append(_bytes(source))
        else:
            to.copy_(source)
    if targets:
        torch._foreach_copy_(targets, sources)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.view(-1).view(torch.uint8)
