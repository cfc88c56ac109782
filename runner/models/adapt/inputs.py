"""An input of the model that goes to a single layer.

Shapes: N samples, C channels, F features, ... whatever else a tensor has.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.models.adapt.layers import layer_called
from runner.models.blocks import convolution_like

_Convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def add_input(model: nn.Module, layer_name: str, position: int, samples: Sequence[Tensor], *, widen: bool) -> None:
    """Concatenate an input of the model to what a layer is given; the model's forward function does not get it.

    Features (N, F) are joined along the channels of a convolution, the same at every place, and along the last axis of
    a linear layer.

    Args:
        model: Called with all inputs from now on.
        layer_name: The layer.
        position: Of the input, from 0.
        samples: The inputs of a few samples, for their shapes.
        widen: Whether to make the layer, linear or a convolution, anew with so many more inputs.

    Raises:
        UserError: If there is no such layer or input, or the layer cannot be widened.
    """
    where = f"adapt.inputs.{layer_name}"
    layer = layer_called(model, layer_name, where)
    if position >= len(samples):
        raise UserError(
            f"{where}={position + 1}: a sample has {len(samples)} input{'s' if len(samples) > 1 else ''}",
            expected="data with several inputs for each sample",
        )
    if widen:
        layer = _widened(layer, samples[position].shape[1], where)
        model.set_submodule(layer_name, layer)
    passing = next((hook for hook in model._forward_pre_hooks.values() if isinstance(hook, _Passing)), None)
    if passing is None:
        passing = _Passing()
        model.register_forward_pre_hook(passing)
    passing.positions.add(position)
    layer.register_forward_pre_hook(_Joining(passing, position))


class _Passing:
    """Takes the inputs that are for single layers out of what the model is called with, and holds them for those."""

    def __init__(self) -> None:
        self.positions: set[int] = set()
        self.held: dict[int, Tensor] = {}

    def __call__(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if len(inputs) <= max(self.positions):
            raise ValueError(f"{max(self.positions) + 1} inputs are expected (adapt.inputs), there are {len(inputs)}")
        self.held = {position: inputs[position] for position in self.positions}
        return tuple(value for position, value in enumerate(inputs) if position not in self.positions)


class _Joining:
    """Concatenates what is held to what its layer is given."""

    def __init__(self, passing: _Passing, position: int) -> None:
        self.passing = passing
        self.position = position

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        values, *rest = inputs
        extra = self.passing.held[self.position].to(values.dtype)
        if isinstance(layer, nn.Linear):  # (N, ..., F)
            extra = extra.reshape(extra.shape[0], *[1] * (values.ndim - extra.ndim), *extra.shape[1:])
            joined = torch.cat([values, extra.expand(*values.shape[:-1], -1)], dim=-1)
        else:  # (N, C, ...)
            extra = extra.reshape(*extra.shape, *[1] * (values.ndim - extra.ndim))
            joined = torch.cat([values, extra.expand(-1, -1, *values.shape[2:])], dim=1)
        return (joined, *rest)


def _widened(layer: nn.Module, more: int, where: str) -> nn.Module:
    """A layer like this one that takes so many more features or channels; it has first weights of its own."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features + more, layer.out_features, bias=layer.bias is not None)
    if isinstance(layer, _Convolution) and layer.groups == 1:
        return convolution_like(layer, layer.in_channels + more)
    raise UserError(
        f"{where}: a {type(layer).__name__} cannot be made to take {more} values more",
        expected="a linear layer or a convolution without groups",
        fix=f"adapt.replace with a layer for {where.removeprefix('adapt.inputs.')} that takes them",
    )
