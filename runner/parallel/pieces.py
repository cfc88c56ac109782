"""Tensors of which every process has a piece, as FSDP makes of weights; other tensors pass through untouched."""

from typing import TYPE_CHECKING, TypeGuard

from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_divided(tensor: object) -> "TypeGuard[DTensor]":
    """Whether it is such a tensor, without importing what makes them."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """The piece of this process."""
    return tensor.to_local() if is_divided(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of it; called by all processes."""
    return tensor.full_tensor() if is_divided(tensor) else tensor


def divided_like(target: Tensor, value: Tensor) -> Tensor:
    """A whole tensor, which every process has, as a target of the same shape is: divided, or as it is."""
    if not is_divided(target) or is_divided(value):
        return value
    from torch.distributed.tensor import distribute_tensor

    moved = value.to(target.device_mesh.device_type)
    return distribute_tensor(moved, target.device_mesh, target.placements, src_data_rank=None)
