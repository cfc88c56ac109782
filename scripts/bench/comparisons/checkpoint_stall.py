"""What saving costs the training that goes on."""

import tempfile
from pathlib import Path

from scripts.bench.harness import Bench, Result, Table, Target, attempt, ratio

ABOUT = """
A model of 30 million parameters with Adam: 360 MB of state. The hand-written loop saves durably, as a run that may be
killed must: `torch.save` to a temporary name, fsync, rename, between two steps. runner copies the state at the step and
writes it in the background, with a digest. The stall is what the step waits; *until durable* is when the file is safe
on the disk. In turns, in one process with two threads; the first save of each is not counted. Memory is the
growth of the process over the saves of each, each in a process of its own.
"""

HAND, OWN = "torch.save, fsync, rename", "runner"


def measure(bench: Bench) -> Result:
    result = Result("checkpoint_stall", "Checkpoints", ABOUT)
    parameters = bench.fewer(30_000_000, 10_000_000)
    saves = bench.fewer(bench.rounds + 1, 2) + 1
    stall = Table("Stall at the step", "s", baseline=HAND)
    durable = Table("Until durable", "s", baseline=HAND)
    memory = Table("Memory that saving takes", "MB", decimals=0)
    with attempt(result, "checkpoints"):
        given = {"parameters": parameters, "saves": saves, "threads": 2}
        answer = bench.call(bench.runner_python, f"{__name__}:save", who=[HAND, OWN], **given)
        for label in (HAND, OWN):
            stall.add(label, answer["stall"][label][1:])
            durable.add(label, answer["durable"][label][1:])
            alone = bench.call(bench.runner_python, f"{__name__}:save", who=[label], **given)
            memory.add(label, [alone["memory_mb"]])
        size = answer["state_mb"]
        result.notes.append(f"The state has {size:.0f} MB.")
        result.targets += [
            Target("runner's stall / durable torch.save", ratio(stall.median(OWN), stall.median(HAND)), 0.25),
            Target("extra memory / state", ratio(memory.median(OWN), size), 1.1),
        ]
    result.tables = [stall, durable, memory]
    return result


def save(who: list[str], parameters: int, saves: int) -> dict[str, object]:
    """Save in turns, each ``saves`` times: seconds of stall and until durable, and the growth of the process."""
    import os
    import time

    import torch

    from runner.training.loop import train_step
    from scripts.bench.own_loop import own_loop

    width = round((parameters / 3) ** 0.5)
    typed = ["data=digits", f"model.hidden=[{width},{width},{width},{width}]", "optimizer=adam", "max_steps=1"]
    typed += ["tracking.tensorboard=false", "tracking.histograms_every=null"]
    with tempfile.TemporaryDirectory(dir=".bench") as folder, own_loop(Path(folder), *typed) as loop:
        parts, progress, recorder = loop.parts, loop.progress, loop.recorder
        scores = parts.new_scores(training=True)
        train_step(parts, [next(parts.splits.train.epoch(0))], progress, scores)  # makes Adam's state
        tensors = [*parts.model.state_dict().values()]
        tensors += [value for state in parts.optimizer.state.values() for value in state.values()]
        state_mb = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
        stall: dict[str, list[float]] = {label: [] for label in who}
        durable: dict[str, list[float]] = {label: [] for label in who}

        def by_hand() -> float:
            path = Path(folder) / "hand.pt"
            temporary = path.with_suffix(".tmp")
            with temporary.open("wb") as file:
                torch.save(parts.state_dict() | {"progress": progress.state_dict()}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            return time.perf_counter()

        def own() -> float:
            progress.step += 1
            recorder.save(progress, scores)
            return time.perf_counter()

        contenders = {HAND: by_hand, OWN: own}
        _peak_mb()
        before = _peak_mb()
        for _ in range(saves):
            for label in who:
                began = time.perf_counter()
                stall[label].append(contenders[label]() - began)
                recorder.saver.wait()
                durable[label].append(time.perf_counter() - began)
                print(label, stall[label][-1], durable[label][-1], flush=True)
        return {"stall": stall, "durable": durable, "state_mb": state_mb, "memory_mb": _peak_mb() - before}


def _peak_mb() -> float:
    """The most memory that the process has had since the last call."""
    text = Path("/proc/self/status").read_text()
    peak = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(peak.split()[1]) / 1e3
