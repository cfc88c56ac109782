"""A model as a table: layers, output shapes, parameters, multiply-adds and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from runner.config.schema import RunConfig
from runner.tracking.console import Console
from runner.tracking.formatting import table
from runner.training.assemble import assemble
from runner.training.parts import Parts


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer does with one sample, with all that is in it."""

    name: str
    """As in ``named_modules()``; empty for the model itself."""
    kind: str
    """Its class."""
    outputs: tuple[tuple[int, ...], ...]
    """Shapes of what it gives for a sample; none where the model does not call it in an evaluation."""
    parameters: int
    is_frozen: bool
    """Whether it has parameters and none of them is trained."""
    multiply_adds: int
    """Of convolutions, matrix products and attention; what is done element by element is not counted."""


def summarise(config: Mapping[str, Any], choices: Mapping[str, Any]) -> str:
    """The table for the model of a configuration and samples of its data."""
    parts = assemble(RunConfig.model_validate(config), dict(choices), Console())
    inputs = parts.sample_inputs()
    layers = layers_of(parts.model, inputs)
    header = ("layer", "type", "output", "parameters", "multiply-adds")
    rows = [_row(layer) for layer in layers]
    batch_size = parts.splits.train.batch_size
    memory = memory_of(parts, inputs, batch_size)
    frozen = sum(weight.numel() for weight in parts.model.parameters() if not weight.requires_grad)
    lines = [
        *table(header, rows[1:] or rows),
        "",
        f"parameters     {layers[0].parameters:,}" + (f", {frozen:,} of them frozen" if frozen else ""),
        f"multiply-adds  {layers[0].multiply_adds:,} for a sample",
        "",
        *table(("memory in training", "MiB"), [(name, f"{size / 2**20:,.2f}") for name, size in memory.items()]),
    ]
    return "\n".join(lines)


def layers_of(model: nn.Module, inputs: Sequence[Tensor]) -> list[Layer]:
    """Every layer, the model itself first, from an evaluation of the first sample.

    Args:
        model: On the device of the inputs; it is in eval mode afterwards.
        inputs: Those of at least one sample.
    """
    names = {module: name for name, module in model.named_modules()}
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def note(module: nn.Module, inputs: object, output: object) -> None:
        shapes[names[module]] = tuple(tuple(tensor.shape[1:]) for tensor in _tensors(output))

    handles = [module.register_forward_hook(note) for module in names]
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*(tensor[:1] for tensor in inputs))
    for handle in handles:
        handle.remove()
    root = type(model).__name__
    counted = {name: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}
    return [
        Layer(
            name,
            type(module).__name__,
            shapes.get(name, ()),
            sum(weight.numel() for weight in module.parameters()),
            not any(weight.requires_grad for weight in module.parameters()) and any(True for _ in module.parameters()),
            counted.get(f"{root}.{name}" if name else "Global", 0),
        )
        for module, name in names.items()
    ]


def memory_of(parts: Parts, inputs: Sequence[Tensor], batch_size: int) -> dict[str, int]:
    """Bytes on the device while a run trains, by what they are for. The model is of no use afterwards.

    Args:
        parts: Of the run.
        inputs: Those of a few samples.
        batch_size: Samples whose activations are kept at a time.
    """
    weights = list(parts.model.parameters())
    trained = [weight for weight in weights if weight.requires_grad]
    kept = kept_for_backward(parts, inputs) * batch_size // len(inputs[0])
    for weight in trained:
        weight.grad = torch.zeros_like(weight)
    parts.optimizer.step()  # makes the optimizer's state
    state = [value for values in parts.optimizer.state.values() for value in _tensors(values)]
    found = {
        "weights": _bytes(weights),
        "buffers": _bytes(parts.model.buffers()),
        "averaged weights": _bytes(parts.averaged.state_dict().values()) if parts.averaged is not None else 0,
        "gradients": _bytes(trained),
        "state of the optimizer": _bytes(state),
        f"kept for the backward pass, {batch_size} samples": kept,
    }
    return {**{name: size for name, size in found.items() if size}, "total": sum(found.values())}


def kept_for_backward(parts: Parts, inputs: Sequence[Tensor]) -> int:
    """Bytes that autograd keeps of a forward pass in training, beside the weights and the inputs."""
    known = {tensor.untyped_storage().data_ptr() for tensor in [*parts.model.parameters(), *parts.model.buffers()]}
    known |= {tensor.untyped_storage().data_ptr() for tensor in inputs}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = tensor  # held, so that no other tensor gets its place
        return tensor

    parts.begin_training()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), parts.autocast():
        outputs = parts.model(*inputs)
    del outputs
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _row(layer: Layer) -> tuple[str, ...]:
    shape = " and ".join("x".join(map(str, shape)) or "1" for shape in layer.outputs) or "-"
    parameters = f"{layer.parameters:,}" if layer.parameters else "-"
    multiply_adds = f"{layer.multiply_adds:,}" if layer.multiply_adds else "-"
    return layer.name, layer.kind, shape, parameters + (" frozen" if layer.is_frozen else ""), multiply_adds


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [tensor for one in value for tensor in _tensors(one)] if isinstance(value, list | tuple) else []


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
