"""A copy of a state that stays as it is while training goes on."""

from typing import Any

import torch
from torch import Tensor


class Snapshot:
    """Copies states into buffers that are used again, so that at most one copy of a state exists.

    The copies lie in the memory of the CPU, whatever the device of the originals.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, state: dict[str, Any]) -> dict[str, Any]:
        """A copy of a state: tensors in the buffers, all else in new containers. The last copy is overwritten."""
        unused, self._buffers = self._buffers, {}
        copied = self._copy(state, "", unused)
        assert isinstance(copied, dict)
        return copied

    def _copy(self, value: Any, name: str, unused: dict[str, Tensor]) -> Any:
        if isinstance(value, Tensor):
            return self._copied_tensor(value.detach(), name, unused)
        if isinstance(value, dict):
            return type(value)((key, self._copy(item, f"{name}.{key}", unused)) for key, item in value.items())
        if isinstance(value, list | tuple):
            return type(value)(self._copy(item, f"{name}.{number}", unused) for number, item in enumerate(value))
        return value

    def _copied_tensor(self, tensor: Tensor, name: str, unused: dict[str, Tensor]) -> Tensor:
        buffer = unused.pop(name, None)
        if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
            buffer = torch.empty_like(tensor, device="cpu")
        self._buffers[name] = buffer
        return buffer.copy_(tensor)
