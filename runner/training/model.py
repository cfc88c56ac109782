"""The model of a run: built, adapted, initialised, on its device, and tried out on two samples."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from runner.build import build_a
from runner.config.schema import RunConfig
from runner.config.sections.adapt import Auxiliary
from runner.data.loader import Batch
from runner.data.prepare import Prepare
from runner.errors import UserError
from runner.models.adapt.heads import PixelHead, PooledHead
from runner.models.adapt.inputs import add_input
from runner.models.adapt.layers import layer_called
from runner.models.adapt.outputs import HEADS, add_outputs, outputs_of
from runner.models.adapt.weights import freeze
from runner.models.initialise import initialise
from runner.models.lazy import materialise
from runner.traces import place_of
from runner.training.averaging import MovingAverage
from runner.training.deterministic import not_deterministic
from runner.training.devices import Device
from runner.training.tasks import Task
from runner.training.team import Team

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Model:
    """A model and what else training has to know of it."""

    net: nn.Module
    averaged: MovingAverage | None
    """Keeps the exponential moving average of its weights and buffers, where that is asked for."""
    new_layers: tuple[str, ...]
    """Layers that the configuration has put in, so that weights from elsewhere need not have them."""
    auxiliary_weights: tuple[float, ...]
    """Of the losses of the auxiliary outputs, which the model gives in training after its own."""
    held: tuple[nn.Module, ...]
    """Frozen normalising layers, which stay in eval mode."""


def make_model(
    config: RunConfig,
    choices: Mapping[str, Any],
    device: Device,
    few: Batch,
    prepare: Prepare,
    task: Task,
    team: Team,
) -> Model:
    """Build it, change it as ``adapt`` says, and make sure that it can work with the data.

    Its first weights are drawn on the CPU and in this order, so that they are the same on every device.

    Args:
        config: Of the run.
        choices: The option chosen in each group, for messages.
        device: Where the model will be.
        few: Two samples as they are stored. Only their shapes and types matter.
        prepare: Brings them to the model, in the memory format that suits it from now on.
        task: What it learns.
        team: The processes that have it.

    Raises:
        UserError: If it cannot take these samples, its output does not suit the task, or it has no such layers.
    """
    net = _module(config.model.node(), "model")
    samples, targets = prepare(few)
    samples = tuple(values.cpu() for values in samples)
    adapt = config.adapt
    replaced, joined, supervised = adapt.replace or {}, adapt.inputs or {}, adapt.outputs or {}
    for name, node in replaced.items():
        layer_called(net, name, "adapt.replace")
        net.set_submodule(name, _module(node.node(), f"adapt.replace.{name}"))
    for name, number in joined.items():
        add_input(net, name, number - 1, samples, widen=name not in replaced)
    with _explained(choices, samples):
        materialise(net, samples)
        if supervised:
            _supervise(net, supervised, samples, targets, task)
    initialise(net, {name: rule.model_dump() for name, rule in config.init.items()})  # type: ignore[misc]
    held = freeze(net, adapt.freeze) if adapt.freeze else []
    decay = config.regularization.ema.decay
    average = None if decay is None else MovingAverage(net, decay)  # copied while each weight is whole
    net = _on_device(net, config, prepare, team)
    if average is not None:
        average = _on_device(average, config, prepare, team)
    _try_out(net, choices, device, few, prepare, task)
    new_layers = (*replaced, *joined, *([HEADS] if supervised else []))
    auxiliary_weights = (*adapt.output_weights, *(one.weight for one in supervised.values()))
    return Model(net, average, new_layers, auxiliary_weights, tuple(held))


def _module(node: Mapping[str, Any], key: str) -> nn.Module:
    return build_a(nn.Module, node, key=key, expected="a model, or a layer of one: a torch.nn.Module")


def _supervise(
    net: nn.Module, supervised: Mapping[str, Auxiliary], samples: Sequence[Tensor], targets: Tensor, task: Task
) -> None:
    """Give the layers that are to have auxiliary outputs their heads."""
    heads: dict[str, nn.Module] = {}
    for name, features in outputs_of(net, supervised, samples).items():
        node = supervised[name].head
        if node is not None:
            heads[name] = _module(node.node(), f"adapt.outputs.{name}.head")
        elif task.name == "segmentation":
            heads[name] = PixelHead(features.shape[1], task.outputs, targets.shape[1:])
        else:
            heads[name] = PooledHead(features.shape[1], task.outputs)
        materialise(heads[name], [features])
        with torch.no_grad():
            task.check_output(heads[name].eval()(features), targets)
        heads[name].train()
    add_outputs(net, {name: heads[name] for name in supervised})


def _on_device(net: N, config: RunConfig, prepare: Prepare, team: Team) -> N:
    channels_last = config.device.channels_last
    if team.has_pieces:
        channels_last = False  # weights are divided along their first axis, as they lie in memory
    if any(isinstance(layer, nn.Conv2d) for layer in net.modules()) if channels_last == "auto" else channels_last:
        net = net.to(memory_format=torch.channels_last)
        prepare.memory_format = torch.channels_last
    return team.place(net)


def _try_out(
    net: nn.Module, choices: Mapping[str, Any], device: Device, few: Batch, prepare: Prepare, task: Task
) -> None:
    inputs, targets = prepare(few)
    task.check_targets(targets)
    net.eval()
    with _explained(choices, inputs), torch.no_grad(), device.autocast():
        task.check_output(net(*inputs), targets)


@contextmanager
def _explained(choices: Mapping[str, Any], inputs: Sequence[Tensor]) -> Iterator[None]:
    """What a model raises when it is given samples that it cannot take, told as a mistake of the configuration."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        if refused := not_deterministic(error):
            raise refused from error
        shapes = " and ".join(str(tuple(tensor.shape[1:])) for tensor in inputs)
        raise UserError(
            f"model={choices.get('model')} cannot work with data={choices.get('data')}: a sample has shape {shapes}",
            where=f"the model says: {_told(error)}",
            fix="choose another model or data, or set the model's sizes: runner train --help",
        ) from error


def _told(error: Exception) -> str:
    """What an exception says, in a line, and where it comes from."""
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    place = place_of(error)
    return f"{said} ({place})" if place else said
