"""Changing a model from outside, without touching its code: layers, inputs, outputs, and what of it is trained.

All of it is done with names as ``named_modules()`` and ``named_parameters()`` have them, and with forward hooks, so the
model keeps its class, its forward function and the names of its weights. Hooks are objects that refer to each other and
not to the model, so a copy of the model (``copy.deepcopy``) has working hooks of its own.

Shapes: N samples, C channels, F features, ... whatever else a tensor has.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from runner.errors import UserError, listing, nearest

HEADS = "auxiliary"
"""The name under which the heads of auxiliary outputs are in the model."""

_Convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_Value = TypeVar("_Value")


def layer_called(model: nn.Module, name: str, where: str) -> nn.Module:
    """The layer of that dotted name.

    Raises:
        UserError: If there is none, with the nearest name.
    """
    layers: dict[str, nn.Module] = dict(model.named_modules())
    if name and name in layers:
        return layers[name]
    names = [known for known in layers if known]
    close = nearest(name, names)
    raise UserError(
        f"{where}: the model has no layer {name}",
        expected=f"a name that runner summary shows: {listing(names)}",
        nearest=close,
    )


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
        settings: dict[str, Any] = {
            name: getattr(layer, name)
            for name in ("out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode")
        }
        return type(layer)(layer.in_channels + more, **settings, bias=layer.bias is not None)
    raise UserError(
        f"{where}: a {type(layer).__name__} cannot be made to take {more} values more",
        expected="a linear layer or a convolution without groups",
        fix=f"adapt.replace with a layer for {where.removeprefix('adapt.inputs.')} that takes them",
    )


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


class PooledHead(nn.Sequential):
    """The average over all places, then one linear layer; (N, C, ...) to (N, outputs)."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.average = _Average()
        self.output = nn.Linear(channels, outputs)


class _Average(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:  # (N, C, ...) -> (N, C)
        return maps.flatten(2).mean(2) if maps.ndim > 2 else maps


class PixelHead(nn.Module):
    """The logits of each pixel, (N, C, h, w) to (N, outputs, H, W).

    A 1 x 1 convolution, enlarged by repeating pixels: the gradient of a smooth enlargement adds, on CUDA, in an order
    that changes from run to run.

    Args:
        channels: C.
        outputs: Number of logits.
        size: (H, W).
    """

    def __init__(self, channels: int, outputs: int, size: Sequence[int]) -> None:
        super().__init__()
        self.output = nn.Conv2d(channels, outputs, kernel_size=1)
        self.size = tuple(size)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits at the size of the target."""
        return nn.functional.interpolate(self.output(maps), size=self.size, mode="nearest")


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[nn.Module]:
    """Exclude weights from training; give the normalising layers that are to stay in eval mode because of it.

    Args:
        model: Changed in place.
        patterns: Shell patterns of the names of parameters. Batch normalisation all of whose weights are frozen, or
            whose ``weight`` would be meant if it had one, keeps its running statistics as well.

    Raises:
        UserError: If a pattern means no parameter, or nothing would be left to train.
    """
    for parameter in _meant(model, dict.fromkeys(patterns, True), "adapt.freeze"):
        parameter.requires_grad = False
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(
            f"adapt.freeze={listing(patterns)} leaves nothing to train", expected="patterns that leave some weights"
        )
    return [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase)
        and any(fnmatchcase(f"{name}.weight", pattern) for pattern in patterns)
        and not any(parameter.requires_grad for parameter in layer.parameters())
    ]


def lr_factors(model: nn.Module, factors: Mapping[str, float]) -> dict[nn.Parameter, float]:
    """The factor on the learning rate of each weight that a pattern means; of two patterns the later one decides.

    Raises:
        UserError: If a pattern means no parameter.
    """
    return _meant(model, factors, "adapt.lr_factors")


def _meant(model: nn.Module, by_pattern: Mapping[str, _Value], where: str) -> dict[nn.Parameter, _Value]:
    """The parameters whose names match a pattern, each with the value of the last such pattern."""
    found: dict[nn.Parameter, _Value] = {}
    parameters = dict(model.named_parameters())
    for pattern, value in by_pattern.items():
        matching = [parameter for name, parameter in parameters.items() if fnmatchcase(name, pattern)]
        if not matching:
            layers = [f"{name}.*" for name, _ in model.named_modules() if name]
            raise UserError(
                f"{where}: no weight is called {pattern}",
                expected=f"a name or a shell pattern of one: {listing(parameters, limit=8)}",
                nearest=nearest(pattern, [*layers, *parameters]),
            )
        found |= dict.fromkeys(matching, value)
    return found
