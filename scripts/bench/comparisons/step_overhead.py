"""What a training step costs beyond its arithmetic."""

import contextlib
import math
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from scripts.bench.harness import Bench, Result, Table, Target, interleaved, ratio
from scripts.bench.peers import PEERS

ABOUT = """
Every loop trains the same network on the same ready-made batches in memory, with SGD and cross-entropy, and is compared
to a hand-written step: forward, loss, backward, `optimizer.step()`, nothing else. Both run in the same process in
turns, a block of steps each, on the same weights (Keras has a network of its own), and the figure is the median
difference of neighbouring blocks. There are three processes of each peer, in turns, and six times as many of runner and
of *the same step by hand*. That is the control: a second hand-written step instead of a loop, so that its figure is
what the measurement itself adds. runner keeps everything on that a run has: metrics, progress bar, `metrics.csv`,
TensorBoard, finite-loss check. The peers are measured twice: with comparable records (accuracy, progress bar, curves
every 50 steps; what each has is told in `scripts/bench/peers/`), and *bare*, with all that can be switched off switched
off. Their checkpoints are off. Two cases: the course's MLP, 784-512-512-10 with batches of 64, on two threads; and a
tiny MLP, 64-16-10 with batches of 16, on one.
"""

THREADS = {"course": 2, "tiny": 1}
BLOCK = {"course": 100, "tiny": 800}  # whole intervals between two points of the curve
PROCESSES = 3
CONTROL = "the same step by hand"
TITLES = {
    "course": "MLP 784-512-512-10, batch 64, 2 threads: added to a hand-written step",
    "tiny": "MLP 64-16-10, batch 16, 1 thread: added to a hand-written step",
}


def measure(bench: Bench) -> Result:
    result = Result("step_overhead", "Overhead of a step", ABOUT)
    for case, title in TITLES.items():
        table = Table(title, "µs", decimals=1)
        added_us, hand_us = _take_turns(bench, result, case)
        for label, samples in added_us.items():
            table.add(label, samples)
        result.tables.append(table)
        if not hand_us:
            continue
        own, hand = table.median("runner"), statistics.median(hand_us)
        result.notes.append(f"{case}: the hand-written step takes {hand:.0f} µs (median over all processes).")
        result.targets.append(Target(f"{case}: µs added by runner", own, 20, unit="µs"))
        if case == "course":
            share = None if own is None else 1 + own / hand
            result.targets.append(Target("course: runner's step / hand-written step", share, 1.02))
        others = [row.median for row in table.rows if row.label not in ("runner", CONTROL)]
        if others:
            text = f"{case}: runner / the least that a peer adds, bare"
            result.targets.append(Target(text, ratio(own, min(others)), 1.0))
    return result


def _take_turns(bench: Bench, result: Result, case: str) -> tuple[dict[str, list[float]], list[float]]:
    """Microseconds that each contender adds to a step, and those of the hand-written step beside all of them."""
    block, blocks = bench.fewer(BLOCK[case], 50), bench.fewer(4 * bench.rounds, 3)
    added_us: defaultdict[str, list[float]] = defaultdict(list)
    hand_us: list[float] = []

    def measure(label: str, python: Path, function: str, blocks: int = blocks, **more: object) -> float:
        given = {"case": case, "block": block, "blocks": blocks, **more}
        answer = bench.call(python, f"{__name__}:{function}", threads=THREADS[case], **given)
        added_us[label] += answer["added_us"]
        hand_us.extend(answer["hand_us"])
        return statistics.median(answer["added_us"])

    contenders = {}
    for module, name in PEERS.items():
        for label, function in (("runner", "run_runner"), (CONTROL, "run_hand")):
            own = partial(measure, label, bench.runner_python, function, blocks=-(-blocks // 3))
            contenders[f"{label}, before {name}"] = own
        for records in (True, False):
            label = name if records else f"{name}, bare"
            contenders[label] = partial(measure, label, bench.peers_python, "run_peer", peer=module, records=records)
    interleaved(result, bench.fewer(PROCESSES, 1), contenders)
    return added_us, hand_us


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Progress bars are drawn, but nobody sees them."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def _conductor(case_name: str, block: int, blocks: int) -> tuple[Any, Any]:
    import torch

    from scripts.bench.cases import CASES, hand_step
    from scripts.bench.conductor import Conductor

    torch.set_num_threads(THREADS[case_name])
    case = CASES[case_name]
    return case, Conductor(case.batches(50), hand_step(case.network, case.lr), block, blocks)


def run_peer(case: str, block: int, blocks: int, peer: str, records: bool) -> dict[str, list[float]]:
    import importlib

    chosen, batches = _conductor(case, block, blocks)
    module = importlib.import_module(f"scripts.bench.peers.{peer}")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        module.fit(chosen, batches, Path(folder), records)
    return batches.figures()


def run_hand(case: str, block: int, blocks: int) -> dict[str, list[float]]:
    from scripts.bench.cases import hand_step

    chosen, batches = _conductor(case, block, blocks)
    step = hand_step(chosen.network, chosen.lr)
    for batch in batches:
        step(batch)
    return batches.figures()


def run_runner(case: str, block: int, blocks: int) -> dict[str, list[float]]:
    import torch

    from runner.data.loader import Batch
    from scripts.bench.cases import CASES, hand_step
    from scripts.bench.conductor import Conductor
    from scripts.bench.own_loop import own_loop

    torch.set_num_threads(THREADS[case])
    chosen = CASES[case]
    side = math.isqrt(chosen.sizes[0])
    typed = [
        "data=digits",
        "data.normalize=null",  # the batches are ready
        f"data.image_size=[{side},{side}]",
        f"model.hidden=[{','.join(map(str, chosen.sizes[1:-1]))}]",
        "optimizer=sgd",
        f"optimizer.lr={chosen.lr}",
    ]
    indices = torch.arange(chosen.batch_size)
    ready = [Batch((inputs,), targets, indices) for inputs, targets in chosen.batches(50)]
    with tempfile.TemporaryDirectory() as folder, own_loop(Path(folder), *typed) as loop:
        step = hand_step(loop.parts.model, chosen.lr)
        batches = Conductor(ready, lambda batch: step((batch.inputs[0], batch.targets)), block, blocks)
        loop.train_on(batches)
    return batches.figures()
