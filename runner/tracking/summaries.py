"""TensorBoard's protocol buffers, made from plain values and tensors.

Importing this module takes 0.2 s on top of torch; ``runner.tracking.tensorboard`` does so with the first event.
"""

import copy
import io
import json
import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.versions_pb2 import VersionDef
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor, nn
from torch.utils.tensorboard import summary as torch_summary
from torch.utils.tensorboard._pytorch_graph import parse as parse_trace

from runner.tracking.pictures import Pixels

_NUM_BINS = 64


def scalars(values: Mapping[str, float]) -> Any:
    """One event with all the values of a step (32-bit floats, as TensorBoard keeps them)."""
    return Event(summary=Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]))


def image(tag: str, picture: Pixels) -> Any:
    """An event with a picture (H, W, 3) as PNG."""
    height, width, _ = picture.shape
    png = io.BytesIO()
    Image.fromarray(picture).save(png, format="png")
    encoded = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png.getvalue())
    return Event(summary=Summary(value=[Summary.Value(tag=tag, image=encoded)]))


def histogram(tag: str, tensor: Tensor) -> Any | None:
    """An event with 64 bins of equal width over the values; None if there are none, or one is not finite.

    Binned by torch: 10 million values take 0.17 s on one core, and 0.41 s by ``SummaryWriter.add_histogram``.
    """
    values = tensor.detach().to("cpu", torch.float32).flatten()
    if values.numel() == 0 or not bool(values.isfinite().all()):
        return None
    low, high = (float(extreme) for extreme in values.aminmax())
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(values, _NUM_BINS, low, high)
    limits = torch.linspace(low, high, _NUM_BINS + 1, dtype=torch.float64)[1:]
    doubles = values.double()
    return Event(
        summary=torch_summary.histogram_raw(  # type: ignore[no-untyped-call]
            tag,
            low,
            high,
            values.numel(),
            float(doubles.sum()),
            float(doubles.square().sum()),
            limits.tolist(),
            counts.tolist(),
        )
    )


def graph(model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """The event with what ``model`` computes from the first sample of a batch.

    A copy of the model on the CPU is traced, in evaluation mode and with the random generator put back: the model
    itself is not touched.

    Raises:
        Exception: Whatever the model or the tracer raise, if the model cannot be traced.
    """
    copied = copy.deepcopy(model).cpu().eval()
    first = tuple(tensor[:1].detach().cpu() for tensor in inputs)
    with warnings.catch_warnings(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # shapes that the tracer takes as constant do not matter to a picture
        # SummaryWriter.add_graph also runs the traced program to check it, and for that imports sympy: 2 s.
        trace: Any = torch.jit.trace(copied, first, strict=False, check_trace=False)  # type: ignore[no-untyped-call]
    nodes = parse_trace(trace.inlined_graph, trace)  # type: ignore[no-untyped-call]
    # The producer version is the one that torch writes.
    return Event(graph_def=GraphDef(node=nodes, versions=VersionDef(producer=22)).SerializeToString())


def hparams(config: Mapping[str, Any], metrics: Mapping[str, float]) -> list[Any]:
    """The events that make the run a row of the HPARAMS tab: its settings, and its results as scalars.

    torch would also write which settings and results the tab has. TensorBoard takes that from one run alone, whichever
    it finds first, and without it from all of them.
    """
    settings = {name: _setting(value) for name, value in config.items()}
    _, start, end = torch_summary.hparams(settings, {})  # type: ignore[no-untyped-call]
    of_plugin = start.value[0].metadata.plugin_data
    known = HParamsPluginData.FromString(of_plugin.content)
    of_plugin.content = known.SerializeToString(deterministic=True)  # else each process has an order of its own
    return [Event(summary=start), Event(summary=end), scalars(metrics)]


def _setting(value: Any) -> float | str:
    """A number or a text: torch writes a boolean as 1.0 and refuses lists."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json.dumps(value, default=str)
    return value if math.isfinite(value) else str(value)
