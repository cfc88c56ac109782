"""A watch for what a program waits for a GPU for, where the GPU is a faked one."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class NoWaiting(TorchDispatchMode):
    """Refuses copies between devices that a program waits for.

    What asks for a value, or for a shape that depends on values, raises by itself in a ``FakeTensorMode``.
    """

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = function(*args, **kwargs)
        if function is torch.ops.aten._to_copy.default:
            _refuse(args[0], given, kwargs.get("non_blocking"))
        elif function is torch.ops.aten.copy_.default:
            _refuse(args[1], given, kwargs.get("non_blocking") or args[2:] == (True,))
        return given


def _refuse(source: torch.Tensor, copy: torch.Tensor, is_non_blocking: bool | None) -> None:
    if source.device != copy.device and not is_non_blocking:
        raise AssertionError(f"a copy of a tensor of shape {tuple(copy.shape)} is waited for")
