"""A sweep of short runs, where starting is most of the work."""

import shutil
from pathlib import Path

from scripts.bench.harness import Bench, Result, Table, Target, attempt, interleaved, ratio

ABOUT = """
Eight runs of the MNIST MLP, 50 batches of 64 each, with seeds 0 to 7, from the start of the first process to the end of
the last. runner is one command, `runner train -m seed=0,1,...`; the scripts are started eight times in a row, as a
shell loop does. All train, evaluate the 10,000 test images (Lightning does not) and save the weights; runner also keeps
run directories, curves, rows, pictures and full checkpoints. On two cores: runner has two runs at a time, with a thread
each; the scripts have two threads.
"""

RUNNER, COURSE, HAND, LIGHTNING = "runner train -m", "course's script", "hand-tuned script", "Lightning script"


def measure(bench: Bench) -> Result:
    result = Result("short_runs", "Eight short runs", ABOUT)
    count = bench.fewer(8, 2)
    folder = bench.folder / "short_runs"
    folder.mkdir()

    def runner() -> float:
        seeds = ",".join(map(str, range(count)))
        typed = ["model=mlp", "optimizer=sgd", "data=mnist", f"data.source.root={bench.mnist}", "data.split.val=0"]
        typed += ["data.source.download=false", f"output_root={folder}/outputs", f"seed={seeds}", "max_steps=50"]
        return bench.process([*bench.runner, "train", "-m", *typed], cwd=folder)[0]

    def scripts(python: Path, name: str, first: str) -> float:
        given = [first, str(bench.mnist), "50"]
        total = 0.0
        for seed in range(count):
            output = folder / name
            command = [str(python), "-m", f"scripts.bench.baselines.{name}", *given, str(seed), str(output)]
            total += bench.process(command)[0]
            shutil.rmtree(output, ignore_errors=True)
        return total

    contenders = {
        COURSE: lambda: scripts(bench.runner_python, "course", "mnist"),
        HAND: lambda: scripts(bench.runner_python, "hand", "mnist"),
        RUNNER: runner,
        LIGHTNING: lambda: scripts(bench.peers_python, "peer", "lightning"),
    }
    table = Table(f"{count} runs of 50 batches", "s", baseline=COURSE, decimals=1)
    with attempt(result, "short runs"):
        for label, samples in interleaved(result, bench.fewer(max(2, bench.rounds // 2), 1), contenders).items():
            table.add(label, samples)
    result.tables.append(table)
    faster = ratio(table.median(RUNNER), table.median(COURSE))
    result.targets.append(Target("runner's sweep / course's script in a row", faster, 1.0))
    if not bench.quick:
        result.targets.append(
            Target("runner's sweep, from the command to the end", table.median(RUNNER), 6.0, unit="s")
        )
    return result
