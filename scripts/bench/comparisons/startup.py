"""From the start of a process to its first training step, and how soon the other commands answer."""

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from scripts.bench.harness import Bench, DidNotRunError, Result, Table, Target, attempt, interleaved, ratio
from scripts.bench.peers import PEERS

ABOUT = """
The time from the start of a process to the end of its first training step, in new processes taken in turns, after a
round that is not counted. The course's script imports torch, torchvision and TensorBoard's `SummaryWriter`, as its
training part does; the hand-tuned script reads the idx file with NumPy and writes the SGD update out, because making an
optimizer lets torch import its compiler. runner is the command itself (`runner train`), left after the first step: it
composes the configuration, makes the run directory and reads the data on the way. The peers train the same MLP on
torchvision's MNIST with their records on. The second table has the commands that must feel instant, from start to end.
"""

OWN = ("runner, digits", "runner, MNIST")


def measure(bench: Bench) -> Result:
    result = Result("startup", "Start-up", ABOUT)
    folder = bench.folder / "startup"
    folder.mkdir()
    result.tables = [_first_step(bench, result, folder), _commands(bench, result, folder)]
    with attempt(result, "importtime"):
        result.notes.append(_imports(bench, folder))
    return result


def _first_step(bench: Bench, result: Result, folder: Path) -> Table:
    own, peers, root = str(bench.runner_python), str(bench.peers_python), str(bench.mnist)

    def script(name: str, data: str) -> list[str]:
        return [own, "-m", f"scripts.bench.baselines.{name}", data, root, "0", "0", str(folder / "none")]

    train = [own, "-m", "scripts.bench.stamp", "train", "model=mlp", "optimizer=sgd", f"output_root={folder}/outputs"]
    mnist = ["data=mnist", f"data.source.root={root}", "data.source.download=false"]
    commands = {
        "course's script, digits": script("course", "digits"),
        "hand-tuned script, digits": script("hand", "digits"),
        OWN[0]: [*train, "data=digits"],
        "course's script, MNIST": script("course", "mnist"),
        "hand-tuned script, MNIST": script("hand", "mnist"),
        OWN[1]: [*train, *mnist],
        **{
            f"{name}, MNIST": [
                peers,
                "-m",
                "scripts.bench.baselines.peer",
                module,
                root,
                "0",
                "0",
                f"{folder}/{module}",
            ]
            for module, name in PEERS.items()
        },
    }
    table = Table("Process start to first training step", "s", baseline="course's script, MNIST", decimals=2)
    contenders = {
        label: _after_warm_up(bench, partial(to_stamp, bench, command)) for label, command in commands.items()
    }
    for label, samples in interleaved(result, bench.fewer(min(bench.rounds, 4), 1), contenders).items():
        table.add(label, samples)
    for label, data in zip(OWN, ("digits", "MNIST"), strict=True):
        result.targets.append(Target(f"{label}: first step", table.median(label), 3.5, unit="s"))
        against = table.median(f"course's script, {data}")
        result.targets.append(Target(f"{label} / course's script", ratio(table.median(label), against), 1.0))
    return table


def _commands(bench: Bench, result: Result, folder: Path) -> Table:
    """Commands, the exit codes that they end with, and the seconds aimed at."""
    commands: dict[str, tuple[list[str], int, float]] = {
        "runner --help": (["--help"], 0, 0.15),
        "runner train --help": (["train", "--help"], 0, 0.8),
        "a refused configuration": (["train", "optimizer=adm"], 2, 0.8),
        "completion of a key": (["-sc", "query=bash"], 0, 0.5),
        "runner ls": (["ls", str(folder / "outputs")], 0, 0.5),
    }
    env = {"COMP_LINE": "runner train optimizer.l"}

    def run(args: Sequence[str], code: int) -> float:
        return bench.process([*bench.runner, *args], threads=1, cwd=folder, env=env, expected=(code,), timeout_s=60)[0]

    contenders = {label: _after_warm_up(bench, partial(run, args, code)) for label, (args, code, _) in commands.items()}
    table = Table("Commands, from start to end", "s")
    for label, samples in interleaved(result, bench.fewer(2 * bench.rounds, 2), contenders).items():
        table.add(label, samples)
    for label, (_, _, limit) in commands.items():
        if label != "runner ls":
            result.targets.append(Target(label, table.median(label), limit, unit="s"))
    return table


def to_stamp(bench: Bench, command: Sequence[str]) -> float:
    """Seconds from the start of a command to the time that it prints after its first step.

    Raises:
        DidNotRunError: If it fails, or prints none.
    """
    began = time.time()
    _, output = bench.process(command, threads=2, timeout_s=180)
    stamps = re.findall(r"^\d+\.\d+$", output, re.M)
    if not stamps:
        raise DidNotRunError("it took no step: " + (output.strip().splitlines() or ["no output"])[-1][:200])
    return float(stamps[-1]) - began


def _after_warm_up(bench: Bench, measure: Callable[[], float]) -> Callable[[], float | None]:
    """The first measurement fills the caches of the disk and is not counted, unless all is quick."""
    done = [bench.quick]

    def counted() -> float | None:
        seconds = measure()
        if done[0]:
            return seconds
        done[0] = True
        return None

    return counted


def _imports(bench: Bench, folder: Path) -> str:
    """What the start of ``runner train`` imports, by the time that each package takes by itself."""
    command = [str(bench.runner_python), "-X", "importtime", "-m", "scripts.bench.stamp", "train", "optimizer=sgd"]
    _, output = bench.process([*command, f"output_root={folder}/outputs"], threads=2, timeout_s=180)
    own: dict[str, float] = {}
    for microseconds, module in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)$", output, re.M):
        package = module.split(".")[0]
        own[package] = own.get(package, 0.0) + int(microseconds) / 1e6
    top = sorted(own.items(), key=lambda entry: -entry[1])[:12]
    told = ", ".join(f"{package} {seconds:.2f}" for package, seconds in top)
    heavy = [
        name for name in ("torchvision", "pandas", "torchmetrics", "sympy", "matplotlib", "skimage") if name in own
    ]
    found = f"; found among them, though the run does not use them: {', '.join(heavy)}" if heavy else ""
    return (
        "`python -X importtime` up to the first step on the digits, in s by package, each without what it imports "
        f"from others ({sum(own.values()):.2f} s in all, and importtime itself slows them): {told}{found}."
    )
