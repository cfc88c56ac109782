"""A U-Net, where arithmetic is nearly everything and how it is done decides."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.bench.harness import Bench, Result, Table, Target, attempt, interleaved, ratio

ABOUT = """
runner's U-Net (base 32, 4 levels, batch normalisation) on grey images of 256 x 256, batches of 4, two classes, Adam,
two threads. The hand-written loops train the same network from the same weights on the same ready-made batches: as it
is, with `channels_last`, and with bf16 autocast too. They take a step each in turns with runner's own loop in the same
process, once with runner's defaults and once with the settings that its documentation names for speed. The first step
of each is not counted. *In processes of their own* are the best by hand and runner, in turns: there only runner's keeps
freed memory for the next step, which in a common process serves all. Then runner's own loader: the share of its steps
in which the model waits for a batch.
"""

FP32, CHANNELS_LAST, BF16 = "by hand, fp32", "by hand, fp32, channels_last", "by hand, bf16, channels_last"
DEFAULTS, FAST = "runner, defaults", "runner, documented settings"
SETTINGS = {DEFAULTS: [], FAST: ["device.precision=auto"]}
BATCH_SIZE = 4
_NETWORK = [
    "model=unet",
    "model.width=32",
    "model.levels=4",
    "data.image_size=[256,256]",
    f"data.batch_size={BATCH_SIZE}",
    "data.source.count=48",
    "data.split.val=8",
    "data.split.test=8",
    "data.normalize=null",
    "optimizer=adam",
]


def measure(bench: Bench) -> Result:
    result = Result("unet", "U-Net", ABOUT)
    ratios: dict[str, float | None] = {}
    for label, typed in SETTINGS.items():
        with attempt(result, label):
            steps = bench.fewer(4 * bench.rounds, 2)
            hand = [FP32, CHANNELS_LAST, BF16] if label == DEFAULTS else [BF16]
            answer = bench.call(
                bench.runner_python, f"{__name__}:train", label=label, typed=typed, hand=hand, steps=steps, threads=2
            )
            title = f"Images trained in turns with {label}"
            table = Table(title, "images/s", higher_is_better=True, baseline=BF16, decimals=2)
            result.tables.append(table)
            for name, seconds in answer["seconds"].items():
                table.add(name, [BATCH_SIZE / one for one in seconds])
            medians = {name: sorted(values)[len(values) // 2] for name, values in answer["seconds"].items()}
            ratios[label] = ratio(medians[label], min(value for name, value in medians.items() if name != label))
            told = ", ".join(f"{name} {loss:.4f}" for name, loss in answer["losses"].items())
            result.notes.append(f"Mean loss of the steps in one process, first to last: {told}.")
    table = Table("Images trained, in processes of their own", "images/s", True, BF16, decimals=2)
    result.tables.append(table)
    more = {"steps": bench.fewer(8, 2), "threads": 2}
    contenders = {
        BF16: lambda: bench.call(bench.runner_python, f"{__name__}:hand_alone", **more),
        FAST: lambda: bench.call(bench.runner_python, f"{__name__}:runner_alone", typed=SETTINGS[FAST], **more),
    }
    for name, samples in interleaved(result, bench.fewer(bench.rounds, 1), contenders).items():
        table.add(name, samples)
    result.notes.append(f"Documented settings: `{' '.join(SETTINGS[FAST])}`.")
    reached = min((value for value in ratios.values() if value is not None), default=None)
    result.targets.append(Target("runner's step / the best by hand", reached, 1.02))
    with attempt(result, "runner's loader"):
        share = bench.call(bench.runner_python, f"{__name__}:idle_share", typed=SETTINGS[FAST], threads=2)
        result.targets.append(Target("share of a step spent waiting for the loader", share, 0.02))
    return result


def train(label: str, typed: list[str], hand: list[str], steps: int) -> dict[str, Any]:
    """Seconds of each step and the mean loss of hand-written loops and runner's own, in turns."""
    import copy

    from scripts.bench.own_loop import Turns, own_loop

    batches = _batches()
    seconds: dict[str, list[float]] = {name: [] for name in [*hand, label]}
    losses: dict[str, list[float]] = {name: [] for name in hand}
    with tempfile.TemporaryDirectory() as folder, own_loop(Path(folder), *_NETWORK, *typed) as loop:
        contenders = {name: _by_hand(name, copy.deepcopy(loop.parts.model)) for name in hand}

        def in_turns() -> Any:
            for number in range(steps + 2):
                batch = batches[number % len(batches)]
                for name, step in contenders.items():
                    began = time.perf_counter()
                    losses[name].append(step(batch))
                    seconds[name].append(time.perf_counter() - began)
                began = time.perf_counter()
                yield batch
                seconds[label].append(time.perf_counter() - began)
                print(number, {name: round(values[-1], 3) for name, values in seconds.items()}, flush=True)

        own_loss = loop.train_on(Turns(in_turns, steps + 2))
    return {
        "seconds": {name: values[1 : steps + 1] for name, values in seconds.items()},
        "losses": {name: sum(values) / len(values) for name, values in losses.items()} | {label: own_loss},
    }


def runner_alone(typed: list[str], steps: int) -> float:
    """Images per second of runner's loop with nothing beside it."""
    seconds = train(FAST, typed, [], steps)["seconds"][FAST]
    return BATCH_SIZE / statistics.median(seconds)


def hand_alone(steps: int) -> float:
    """Images per second of the best hand-written loop, in a process that runner has not prepared."""
    from runner.models.unet import UNet

    network = UNet(channels=1, outputs=2, width=32, levels=4, activation="relu", batch_norm=True, dropout=0.0)
    step, batches, seconds = _by_hand(BF16, network), _batches(), []
    for number in range(steps + 1):
        began = time.perf_counter()
        step(batches[number % len(batches)])
        seconds.append(time.perf_counter() - began)
    return BATCH_SIZE / statistics.median(seconds[1:])


def _by_hand(name: str, model: Any) -> Callable[[Any], float]:
    import torch
    from torch.nn import functional as F

    memory_format = torch.channels_last if "channels_last" in name else torch.contiguous_format
    model = model.to(memory_format=memory_format).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(batch: Any) -> float:
        images = batch.inputs[0].to(memory_format=memory_format)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in name):
            loss = F.cross_entropy(model(images), batch.targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _batches() -> list[Any]:
    import torch
    from torch.nn import functional as F

    from runner.data.loader import Batch

    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(4):
        images = torch.rand(BATCH_SIZE, 1, 256, 256, generator=generator)
        smooth = F.avg_pool2d(images, 15, stride=1, padding=7)
        batches.append(Batch((images,), (smooth[:, 0] > 0.5).long(), torch.arange(BATCH_SIZE)))
    return batches


def idle_share(typed: list[str]) -> float:
    """The share of the time of an epoch in which the loop waits for the loader."""
    from scripts.bench.own_loop import Turns, own_loop

    with tempfile.TemporaryDirectory() as folder, own_loop(Path(folder), *_NETWORK, *typed) as loop:
        real = loop.parts.splits.train
        waited, marks = [0.0], []

        def watched() -> Any:
            batches = iter(real.epoch(0))
            while True:
                began = time.perf_counter()
                batch = next(batches, None)
                now = time.perf_counter()
                waited[0] += now - began
                marks.append(now)
                if batch is None:
                    return
                yield batch

        began = time.perf_counter()
        loop.train_on(Turns(watched, len(real)))
        return waited[0] / (marks[-1] - began)
