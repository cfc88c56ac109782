"""Small tensors that are kept for many steps, out of the way of the large ones that come and go with each."""

from collections import defaultdict

import torch
from torch import Tensor

_ROWS = 64
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
                free.extend(tensor.new_empty((_ROWS, *tensor.shape)).unbind())
            return free.pop().copy_(tensor)
        return tensor
