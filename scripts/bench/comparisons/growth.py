"""How costs grow with the number of samples, parameters, steps and runs."""

import json
import tempfile
from pathlib import Path

from scripts.bench.comparisons import checkpoint_stall
from scripts.bench.harness import Bench, Result, Table, Target, attempt, ratio, tell

ABOUT = """
*Steps*: the seconds of a point in TensorBoard and of a row in `metrics.csv`, at the start and at the end of 200,000 of
them, by runner's own writers. *Runs*: `runner ls` over as many run directories (each with its `status.json`), from
start to end. *Samples*: an epoch of the MNIST MLP on a part of the images, divided by the number of samples.
*Parameters*: the stall and the time until durable of runner's checkpoint.
"""


def measure(bench: Bench) -> Result:
    result = Result("growth", "Growth", ABOUT)
    with attempt(result, "steps"):
        _steps(bench, result)
    with attempt(result, "runs"):
        _runs(bench, result)
    with attempt(result, "samples"):
        _samples(bench, result)
    with attempt(result, "parameters"):
        _parameters(bench, result)
    return result


def _steps(bench: Bench, result: Result) -> None:
    count = bench.fewer(200_000, 20_000)
    answer = bench.call(bench.runner_python, f"{__name__}:write", count=count, threads=1)
    for kind, what in (("scalars", "a TensorBoard point"), ("rows", "a row of metrics.csv")):
        table = Table(f"Writing {what}", "µs", decimals=1, x=answer["at"], x_label="written before")
        for at, samples in zip(answer["at"], answer[kind], strict=True):
            table.add(f"after {at:,}", samples)
        result.tables.append(table)
        grown = ratio(table.rows[-1].median, table.rows[0].median)
        result.targets.append(Target(f"{what}: cost at the end / at the start", grown, 1.1))


def write(count: int) -> dict[str, list]:
    """µs of a write in batches of 500, at ten places."""
    import time

    from runner.tracking.metrics_csv import MetricsCsv
    from runner.tracking.tensorboard import TensorBoard

    at: list[int] = []
    scalars: list[list[float]] = []
    rows: list[list[float]] = []
    part, batch = count // 10, 500
    with tempfile.TemporaryDirectory(dir=".bench") as folder:
        table, board = MetricsCsv(Path(folder) / "metrics.csv"), TensorBoard(Path(folder) / "tensorboard")
        board.scalars({"warm": 0.0}, 0)
        for start in range(0, count, part):
            at.append(start)
            scalars.append([])
            rows.append([])
            for first in range(start, start + part, batch):
                began = time.perf_counter()
                for step in range(first, first + batch):
                    board.scalars({"train/loss_step": 0.5, "lr": 0.01}, step)
                between = time.perf_counter()
                for step in range(first, first + batch):
                    table.append({"epoch": step, "step": step, "lr": 0.01, "train/loss": 0.5, "seconds": 1.0})
                scalars[-1].append(1e6 * (between - began) / batch)
                rows[-1].append(1e6 * (time.perf_counter() - between) / batch)
        board.close()
    return {"at": at, "scalars": scalars, "rows": rows}


def _runs(bench: Bench, result: Result) -> None:
    counts = (bench.fewer(1, 0) and [100, 1_000, 10_000]) or [100, 1_000]
    table = Table("runner ls", "s", x=[float(count) for count in counts], x_label="runs")
    status = {"state": "completed", "epoch": 10, "epochs": 10, "step": 200, "monitor": "val/accuracy", "best": 0.97}
    status |= {"best_epoch": 9, "metrics": {"val/accuracy": 0.97, "val/loss": 0.1}, "seconds": 12.5, "executions": 1}
    folder, made = bench.folder / "runs", 0
    for count in counts:
        for number in range(made, count):
            run = folder / f"2026-01-{1 + number % 28:02}" / f"{number:05}-mlp-digits"
            (run / "checkpoints").mkdir(parents=True)
            created = f"2026-01-{1 + number % 28:02}T00:00:00+00:00"
            (run / "status.json").write_text(json.dumps(status | {"created": created}))
        made = count
        command = [*bench.runner, "ls", str(folder)]
        _, listed = bench.process(command, threads=1)
        if len(listed.splitlines()) < count:
            result.notes.append(f"`runner ls` listed {len(listed.splitlines()) - 1} of {count} runs.")
        table.add(f"{count:,} runs", [bench.process(command, threads=1)[0] for _ in range(bench.fewer(5, 2))])
        tell(f"  ls of {count} runs: {table.rows[-1].median:.3f} s")
    result.tables.append(table)
    if not bench.quick:
        result.targets.append(Target("runner ls of 10,000 runs", table.rows[-1].median, 2.0, unit="s"))


def _samples(bench: Bench, result: Result) -> None:
    counts = (bench.fewer(1, 0) and [7_500, 15_000, 30_000, 60_000]) or [7_500, 15_000]
    given = {"root": str(bench.mnist), "counts": counts, "epochs": bench.fewer(5, 3), "threads": 2}
    answer = bench.call(bench.runner_python, f"{__name__}:epochs_of", **given)
    table = Table("A sample of an epoch", "µs", decimals=2, x=[float(c) for c in counts], x_label="samples")
    for count, seconds in zip(counts, answer, strict=True):
        table.add(f"{count:,} samples", [1e6 * one / count for one in seconds])
    result.tables.append(table)


def epochs_of(root: str, counts: list[int], epochs: int) -> list[list[float]]:
    """Seconds of runner's epochs, after the first, on so many samples."""
    import time

    from scripts.bench.own_loop import own_loop

    found = []
    for count in counts:
        typed = [
            "model=mlp",
            "data=mnist",
            f"data.source.root={root}",
            "data.source.download=false",
            "monitor=train/loss",
        ]
        typed += [f"data.split.val={60_000 - count}", "optimizer=sgd"]
        with tempfile.TemporaryDirectory() as folder, own_loop(Path(folder), *typed) as loop:
            loop.without_validation()
            seconds = []
            for _ in range(epochs):
                began = time.perf_counter()
                loop.train_epoch()
                seconds.append(time.perf_counter() - began)
            found.append(seconds[1:])
    return found


def _parameters(bench: Bench, result: Result) -> None:
    counts = (bench.fewer(1, 0) and [1_000_000, 3_000_000, 10_000_000, 30_000_000]) or [1_000_000, 3_000_000]
    x = [float(count) for count in counts]
    stall = Table("Stall of a checkpoint", "s", x=x, x_label="parameters, with Adam", decimals=4)
    durable = Table("A checkpoint until durable", "s", x=x, x_label="parameters, with Adam")
    for count in counts:
        function = f"{checkpoint_stall.__name__}:save"
        given = {"who": [checkpoint_stall.OWN], "parameters": count, "saves": bench.fewer(6, 3)}
        answer = bench.call(bench.runner_python, function, **given)
        for table, key in ((stall, "stall"), (durable, "durable")):
            table.add(f"{count / 1e6:.0f} million", answer[key][checkpoint_stall.OWN][1:])
    result.tables += [stall, durable]
