"""Auxiliary outputs: what heads make, in training, of what single layers give."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.models.adapt.layers import layer_called

HEADS = "auxiliary"
"""The name under which the heads are in the model."""


class _Observing:
    """Keeps what a layer gave."""

    def __init__(self, outputs: dict[str, Tensor], name: str) -> None:
        self.outputs = outputs
        self.name = name

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.outputs[self.name] = output


@torch.no_grad()
def outputs_of(model: nn.Module, layer_names: Iterable[str], samples: Sequence[Tensor]) -> dict[str, Tensor]:
    """What some layers give for samples, in eval mode.

    Raises:
        UserError: If there is no such layer, the model does not call it, or it gives something else than a tensor.
    """
    found: dict[str, Tensor] = {}
    handles = [
        layer_called(model, name, "adapt.outputs").register_forward_hook(_Observing(found, name))
        for name in layer_names
    ]
    was_training = model.training
    model.eval()(*samples)
    model.train(was_training)
    for handle in handles:
        handle.remove()
    for name in layer_names:
        if not isinstance(found.get(name), Tensor):
            given = type(found[name]).__name__ if name in found else "nothing: the model does not call it"
            raise UserError(f"adapt.outputs.{name}: a tensor is expected, the layer gives {given}")
    return found


def add_outputs(model: nn.Module, heads: Mapping[str, nn.Module]) -> None:
    """Let a model give, in training, (its output, what each head makes of its layer's output, ...) in that order.

    What it gives besides its output itself, in a tuple, comes before what the heads make.

    In eval mode it gives its output alone, and nothing is kept or computed. The heads are in the model as
    ``auxiliary``, by the names of their layers with ``_`` in place of dots.

    Args:
        model: Gives a tensor, or in training a tuple of such.
        heads: By the name of the layer whose output they take.

    Raises:
        UserError: If the model has something called ``auxiliary`` already.
    """
    if hasattr(model, HEADS):
        raise UserError(f"adapt.outputs: the model has a {HEADS} of its own, which is the name of the heads")
    layers = {name: model.get_submodule(name) for name in heads}
    model.add_module(HEADS, _Heads({_key(name): head for name, head in heads.items()}))
    supervising = _Supervising()
    model.register_forward_pre_hook(supervising.begin)
    for name, layer in layers.items():
        layer.register_forward_hook(_Noting(supervising, _key(name)))
    model.register_forward_hook(supervising.end)


class _Heads(nn.ModuleDict):
    """The heads by name. In an ``nn.Sequential``, which calls all that it holds, they let everything through."""

    def forward(self, values: Tensor) -> Tensor:
        return values


def _key(layer_name: str) -> str:
    return layer_name.replace(".", "_")


class _Supervising:
    """Gathers, in a forward pass of training, what the heads are given."""

    def __init__(self) -> None:
        self.is_on = False
        self.noted: dict[str, Tensor] = {}

    def begin(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.is_on = model.training

    def end(
        self, model: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]
    ) -> tuple[Tensor, ...] | None:
        if not self.is_on:
            return None
        noted, self.noted = self.noted, {}
        heads: Any = getattr(model, HEADS)
        own = output if isinstance(output, tuple) else (output,)
        return (*own, *(head(noted[key]) for key, head in heads.items()))


class _Noting:
    """Keeps what a layer gave until the end of the forward pass, in training."""

    def __init__(self, supervising: _Supervising, key: str) -> None:
        self.supervising = supervising
        self.key = key

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if self.supervising.is_on:
            self.supervising.noted[self.key] = output
