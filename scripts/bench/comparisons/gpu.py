"""runner on an NVIDIA GPU against loops tuned by hand."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.bench.comparisons.startup import to_stamp
from scripts.bench.harness import Bench, Result, Table, Target, attempt, ratio, tell

ABOUT = """
On a machine with an NVIDIA GPU; elsewhere it is skipped. The MNIST MLP (batch 64), LeNet (64) and ResNet-18 (256) on 32
x 32 images, and the U-Net (base 32, 4 levels, 256 x 256, batch 16), in steps per second over the same batches, which
lie on the GPU. By hand: bf16 autocast, `channels_last` for convolutions, fused SGD, no synchronisation, no metrics, and
the model compiled, or the whole step in a CUDA graph, or both. runner: its own loop with metrics, progress bar and
records on, and the same by its settings (`device.compile`, `device.cuda_graph`; `device.precision=bf16`). Each setting
and what it is by hand take turns in a process, a block of steps each; the device is waited for at the end of each
block. *Busy* is the share of runner's step in which a kernel runs on the GPU: its kernels' time by torch's profiler,
over the time of a step without the profiler, which makes the steps longer but not their kernels.
"""

BF16 = ["device=cuda", "device.precision=bf16"]
SETTINGS = {
    "compiled": [*BF16, "device.compile=true"],
    "CUDA graph": [*BF16, "device.cuda_graph=true"],
    "compiled, CUDA graph": [*BF16, "device.compile=true", "device.cuda_graph=true"],
}
START = {
    "device=cuda": ["device=cuda"],
    "device.precision=bf16": BF16,
    "device.precision=bf16 device.cuda_graph=true": SETTINGS["CUDA graph"],
}
NETWORKS: dict[str, dict[str, Any]] = {
    "MLP": {
        "batch": 64,
        "block": {"compiled": 200, "graph": 2000},
        "channels": 1,
        "size": 28,
        "classes": 10,
        "typed": ["model=mlp"],
        "settings": [*SETTINGS],
    },
    "LeNet": {
        "batch": 64,
        "block": {"compiled": 200, "graph": 1000},
        "channels": 1,
        "size": 32,
        "classes": 10,
        "typed": ["model=lenet"],
        "settings": [*SETTINGS],
    },
    "ResNet-18": {
        "batch": 256,
        "block": {"compiled": 100, "graph": 200},
        "channels": 3,
        "size": 32,
        "classes": 10,
        "model": {"_target_": "torchvision.models.resnet18", "num_classes": 10},
        "typed": ["model=bench_resnet18"],
        "settings": ["compiled", "CUDA graph"],
    },
    "U-Net": {
        "batch": 16,
        "block": {"compiled": 50, "graph": 50},
        "channels": 1,
        "size": 256,
        "classes": 2,
        "typed": ["model=unet", "model.width=32", "model.levels=4"],
        "settings": ["compiled", "CUDA graph"],
    },
}

_WARM_UPS = 3
"""Blocks in which a model is compiled or captured, and the progress bar appears."""


def measure(bench: Bench) -> Result:
    result = Result("gpu", "On a GPU", ABOUT)
    if not bench.call(bench.runner_python, f"{__name__}:there_is_one"):
        result.notes.append("Skipped: torch finds no NVIDIA GPU on this machine. [One that has it](benchmarks-gpu.md).")
        return result
    for name, network in NETWORKS.items():
        table = Table(f"{name}: steps", "steps/s", higher_is_better=True, decimals=1)
        busy = []
        for label in network["settings"]:
            with attempt(result, f"{name}, {label}"):
                given = {"network": name, "label": label, "blocks": bench.fewer(2 * bench.rounds, 2)}
                answer = bench.call(bench.runner_python, f"{__name__}:steps", **given, threads=4)
                table.add(f"by hand, {label}", answer["hand"])
                table.add(f"runner, {label}", answer["own"])
                busy.append(f"{label} {answer['busy']:.0%}")
                reached = ratio(table.median(f"runner, {label}"), table.median(f"by hand, {label}"))
                tell(f"  {name}, {label}: runner / by hand {reached:.3f}, busy {answer['busy']:.0%}")
        result.tables.append(table)
        own = [row.median for row in table.rows if row.label.startswith("runner")]
        hand = [row.median for row in table.rows if row.label.startswith("by hand")]
        reached = ratio(max(own), max(hand)) if own and hand else None
        result.targets.append(Target(f"{name}: runner / the best by hand", reached, 0.95, at_most=False))
        if busy:
            result.notes.append(f"{name}: GPU busy in runner's blocks: {', '.join(busy)}.")
    with attempt(result, "start"):
        result.tables.append(_start(bench))
    return result


def _start(bench: Bench) -> Table:
    table = Table("Process start to first training step, digits on the GPU", "s", decimals=2)
    stamp = [str(bench.runner_python), "-m", "scripts.bench.stamp", "train", "optimizer=sgd"]
    for label, typed in START.items():
        command = [*stamp, *typed, f"output_root={bench.folder}/outputs"]
        to_stamp(bench, command)  # fills the caches of the disk
        table.add(f"runner, {label}", [to_stamp(bench, command) for _ in range(bench.fewer(3, 1))])
    return table


def there_is_one() -> bool:
    import torch

    return torch.cuda.is_available()


def steps(network: str, label: str, blocks: int) -> dict[str, Any]:
    """Steps per second by hand and of runner's loop with these settings, by block."""
    import copy

    import torch

    from scripts.bench.material import png_table
    from scripts.bench.own_loop import Turns, own_loop

    spec = NETWORKS[network]
    ready = _batches(spec, is_masks=network == "U-Net")
    block = spec["block"]["graph" if "graph" in label else "compiled"]
    side = spec["size"]
    options = [f"data.image_size=[{side},{side}]", f"data.batch_size={spec['batch']}"]
    options += ["optimizer=sgd", "data.normalize=null"]
    hand: list[float] = []
    own: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        if "model" in spec:
            _write_model(Path(folder), spec["model"])
            table = png_table(Path(folder) / "images", 64)
            options += ["data=csv_images", f"data.source.csv={table}", f"data.num_classes={spec['classes']}"]
        else:
            options.append("data=shapes" if network == "U-Net" else "data=digits")
        with own_loop(Path(folder), *options, *spec["typed"], *SETTINGS[label]) as loop:
            step = _by_hand(copy.deepcopy(loop.parts.model), label, ready[0])

            def in_turns() -> Any:
                for _ in range(_WARM_UPS + blocks + 1):
                    torch.cuda.synchronize()
                    began = time.perf_counter()
                    for position in range(block):
                        step(ready[position % len(ready)])
                    torch.cuda.synchronize()
                    hand.append(block / (time.perf_counter() - began))
                    began = time.perf_counter()
                    for position in range(block):
                        yield ready[position % len(ready)]
                    torch.cuda.synchronize()
                    own.append(block / (time.perf_counter() - began))

            loop.train_on(Turns(in_turns, block * (_WARM_UPS + blocks + 1)))
            kernels_s = _kernels_s(loop, ready, min(block, 200))
    # At the end of the last one runner draws the pictures of the epoch.
    own, hand = own[_WARM_UPS:-1], hand[_WARM_UPS:-1]
    return {"own": own, "hand": hand, "busy": kernels_s * statistics.median(own)}


def _batches(spec: dict[str, Any], is_masks: bool) -> list[Any]:
    import torch

    from runner.data.loader import Batch

    size, side, generator = spec["batch"], spec["size"], torch.Generator().manual_seed(0)
    ready = []
    for _ in range(10):
        images = torch.rand(size, spec["channels"], side, side, generator=generator)
        targets = torch.randint(spec["classes"], (size, side, side) if is_masks else (size,), generator=generator)
        ready.append(Batch((images.cuda(),), targets.cuda(), torch.arange(size)))
    return ready


def _write_model(folder: Path, described: dict[str, Any]) -> None:
    """A model option of the user's own, for a network that runner does not ship."""
    path = folder / "conf" / "model" / "bench_resnet18.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(described))


def _by_hand(model: Any, variant: str, example: Any) -> Callable[[Any], object]:
    """A training step tuned for the GPU, on a copy of runner's model."""
    import torch
    from torch.nn import functional as F

    images, targets = example.inputs[0], example.targets
    memory_format = torch.channels_last if any(p.ndim == 4 for p in model.parameters()) else torch.contiguous_format
    model = model.train().to(memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    forward = torch.compile(model) if "compiled" in variant else model

    def compute(images: Any, targets: Any) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = F.cross_entropy(forward(images), targets)
        loss.backward()
        optimizer.step()

    if "graph" not in variant:
        return lambda batch: compute(batch.inputs[0].to(memory_format=memory_format), batch.targets)

    static_images, static_targets = images.to(memory_format=memory_format).clone(), targets.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            compute(static_images, static_targets)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        compute(static_images, static_targets)

    played = (graph, compute)  # a graph does not keep the weights alive that it moves

    def replay(batch: Any) -> None:
        static_images.copy_(batch.inputs[0])
        static_targets.copy_(batch.targets)
        played[0].replay()

    return replay


def _kernels_s(loop: Any, ready: list[Any], block: int) -> float:
    """Seconds of a step in which a kernel runs, over a block of steps on ready-made batches."""
    import torch
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    from scripts.bench.own_loop import Turns

    watch: list[Any] = []

    def watched() -> Any:
        for position in range(2 * block + 1):
            if position == block:
                torch.cuda.synchronize()
                watch.append(profile(activities=[ProfilerActivity.CUDA]))
                watch[0].__enter__()
            if position == 2 * block:  # with the last step, the pictures of the epoch are drawn
                torch.cuda.synchronize()
                watch[0].__exit__(None, None, None)
            yield ready[position % len(ready)]

    loop.train_on(Turns(watched, 2 * block + 1))
    computed = [event.time_range for event in watch[0].events() if event.device_type == DeviceType.CUDA]
    busy_us, until = 0.0, -float("inf")
    for start, end in sorted((each.start, each.end) for each in computed):
        busy_us += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy_us / 1e6 / block
