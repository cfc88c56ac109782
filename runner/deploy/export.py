"""A trained model for other tools: its weights, or the whole program, and beside it what one must know to feed it."""

import contextlib
import io
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runner.deploy.trained import Trained
from runner.errors import UserError
from runner.runs.files import write_atomic


def export(trained: Trained, form: str, path: Path) -> Path:
    """Write a model and, beside it, a JSON file NAME.json that describes it; give the path of that file.

    Each of the two files is complete whenever it is there, and the description is there whenever the model is.

    Args:
        trained: On the CPU, in fp32. Its images may lie channels last; those of the program need not.
        form: One of ``FORMATS``.
        path: The file to write. The folder must exist.

    Raises:
        UserError: If a library for the format is missing, the model cannot be written in it, or the file is not to be
            written.
    """
    described = path.with_name(f"{path.name}.json")
    facts = describe(trained)
    net = trained.net.to(memory_format=torch.contiguous_format)
    content = _WRITERS[form](net, _example(trained), facts)
    try:
        write_atomic(described, (json.dumps(facts, indent=2) + "\n").encode())
        write_atomic(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}", fix="-o FILE in another folder") from error
    return described


def describe(trained: Trained) -> dict[str, Any]:
    """What it takes to feed the model and to read what it gives; shapes begin with the batch, of any size."""
    signature, config = trained.signature, trained.config
    meaning = {
        "classification": "logits; a softmax over axis 1 gives the probability of each class",
        "segmentation": "logits; a softmax over axis 1 gives the probability of each class at each pixel",
        "binary": "logits; a sigmoid gives the probability of the second class",
        "multilabel": "logits; a sigmoid gives the probability of each label",
        "regression": "values",
    }
    per_pixel = signature.inputs[0].shape[1:] if signature.task == "segmentation" else ()
    stored, source = signature.stored[0].shape, trained.source
    images = {"tile": source.get("tile"), "size": list(stored[1:]), "fit": source.get("fit", "stretch")}
    return {
        "task": signature.task,
        "model": config.model.node()["_target_"],
        "epoch": trained.epoch,
        "inputs": [{"shape": ["batch", *one.shape], "dtype": one.dtype} for one in signature.inputs],
        "images": images if len(stored) == 3 else None,
        "columns": [list(names) for names in signature.columns],
        "scale": "images are RGB or grey, divided by the largest value of their type (255 or 65535), then normalised",
        "normalize": signature.normalize,
        "eval_transforms": [node.node() for node in config.data.eval_transforms],
        "output": {
            "shape": ["batch", signature.outputs, *per_pixel],
            "dtype": "float32",
            "meaning": meaning[signature.task],
        },
        "class_names": list(signature.class_names),
        "mask_values": list(signature.mask_values),
    }


def _example(trained: Trained) -> tuple[Tensor, ...]:
    return tuple(torch.ones(2, *one.shape) for one in trained.signature.inputs)


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """By name; each with memory of its own, even where the model uses one tensor under two names."""
    return {name: value.detach().contiguous().clone() for name, value in net.state_dict().items()}


def _as_weights(net: nn.Module, example: tuple[Tensor, ...], facts: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(_weights(net), buffer)
    return buffer.getvalue()


def _as_safetensors(net: nn.Module, example: tuple[Tensor, ...], facts: dict[str, Any]) -> bytes:
    with _library("safetensors"):
        from safetensors.torch import save
    # The format knows texts alone.
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    return save(_weights(net), metadata={"format": "pt", **texts})


def _as_program(net: nn.Module, example: tuple[Tensor, ...], facts: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(net, example), buffer, extra_files={"description.json": json.dumps(facts)})
    return buffer.getvalue()


def _as_onnx(net: nn.Module, example: tuple[Tensor, ...], facts: dict[str, Any]) -> bytes:
    with _library("onnx"):
        import onnx
    with _library("onnxscript"):
        import onnxscript  # noqa: F401  # torch.onnx works with it
    program = _program(net, example)
    names = [f"input_{number + 1}" for number in range(len(example))]
    with _refusing("onnx"), _quiet():
        written = torch.onnx.export(program, input_names=names, output_names=["output"], dynamo=True, verbose=False)
    assert written is not None, "it is None for files alone"
    proto = written.model_proto
    _name_batch(proto.graph)
    onnx.helper.set_model_props(proto, {"description": json.dumps(facts)})
    content = proto.SerializeToString()
    onnx.checker.check_model(content)
    return bytes(content)


def _name_batch(graph: Any) -> None:
    """Call the axis of the batch so, and not as the exporter numbers it."""
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == symbol:
                axis.dim_param = "batch"


_WRITERS: dict[str, Callable[[nn.Module, tuple[Tensor, ...], dict[str, Any]], bytes]] = {
    "weights": _as_weights,
    "safetensors": _as_safetensors,
    "torch_export": _as_program,
    "onnx": _as_onnx,
}


def _program(net: nn.Module, example: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    of_each: tuple[Any, ...] = tuple({0: torch.export.Dim("batch", min=1)} for _ in example)
    if net._forward_pre_hooks:
        net, of_each = _Called(net), (of_each,)
    with _refusing("torch_export"), _quiet():
        return torch.export.export(net, example, dynamic_shapes=of_each)


class _Called(nn.Module):
    """A model that is called with more inputs than its forward function takes: ``adapt.inputs`` takes some out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Any:
        return self.net(*inputs)


@contextlib.contextmanager
def _refusing(form: str) -> Iterator[None]:
    """What an exporter raises is the model's fault, as a rule: code that depends on values, or on the batch's size."""
    try:
        yield
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserError(
            f"the model cannot be written as --format {form}: {lines[0] if lines else type(error).__name__}",
            expected="a forward function whose steps depend neither on values nor on the number of samples",
            fix="--format weights",
        ) from error


@contextlib.contextmanager
def _library(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise UserError(
            f"the library {name} is not installed", fix=f"pip install {'onnx onnxscript' if 'onnx' in name else name}"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' talk about themselves."""
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        warnings.simplefilter("ignore")
        yield
