"""``make bench``: every comparison, one after the other, then the page."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from importlib import import_module
from pathlib import Path

from scripts.bench import machine, page
from scripts.bench.environment import HOME
from scripts.bench.environment import PYTHON as PEERS_PYTHON
from scripts.bench.harness import ROOT, Bench, DidNotRunError, Result, tell

COMPARISONS = (
    "step_overhead",
    "epoch",
    "startup",
    "data_path",
    "unet",
    "checkpoint_stall",
    "short_runs",
    "growth",
    "gpu",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=COMPARISONS,
        help="this comparison, on a page of its own in .bench, or in docs/benchmarks-gpu.md; can be given again",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often contenders take turns: 1 or more")
    parser.add_argument("--quick", action="store_true", help="a smoke check of some minutes; its figures mean little")
    parser.add_argument("--mnist", type=Path, default=ROOT / "data", help="folder that has MNIST/raw, if any has it")
    parser.add_argument("--runner", type=Path, default=ROOT / ".venv/bin/python", help="the Python that runner is in")
    parser.add_argument("--peers", type=Path, default=PEERS_PYTHON, help="the Python that the peers are in")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: 1 or more is expected")
    HOME.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=HOME))
    try:
        return _run(options, folder)
    except KeyboardInterrupt:
        print("stopped; the page is as it was", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(options: argparse.Namespace, folder: Path) -> int:
    began = time.monotonic()
    pythons = {"runner": _program(options.runner), "peers": _program(options.peers)}
    is_of_gpu = options.only == ["gpu"]  # where there are neither peers nor MNIST
    facts = {
        "hardware": machine.hardware(),
        "versions": {
            name: machine.versions(python) for name, python in pythons.items() if name == "runner" or not is_of_gpu
        },
        "commit": _commit(),
        "rounds": options.rounds,
        "quick": options.quick,
        "date": f"{datetime.now():%Y-%m-%d}",
        "mnist": "not used",
    }
    bench = Bench(pythons["runner"], pythons["peers"], folder, folder, options.rounds, options.quick)
    if not is_of_gpu:
        function = "scripts.bench.material:prepared_mnist"
        mnist, facts["mnist"] = bench.call(bench.runner_python, function, root=str(options.mnist), fallback=str(folder))
        bench.mnist = Path(mnist)
    results = []
    for name in COMPARISONS:
        if options.only and name not in options.only:
            continue
        tell(f"{name}")
        results.append(_compare(name, bench))
        tell(f"{name}: {results[-1].took_s:.0f} s")
    facts["minutes"] = (time.monotonic() - began) / 60
    if is_of_gpu and results[0].tables:
        written = page.write(results, facts, page.DOCS, "benchmarks-gpu")
    else:  # the page of the docs is of one whole run: parts of it go elsewhere
        written = page.write(results, facts, HOME if options.only else page.DOCS)
    tell(f"wrote {written.relative_to(ROOT)} after {facts['minutes']:.1f} minutes")
    for result in results:
        for target in result.targets:
            if target.met is not True:
                sign = "at most" if target.at_most else "at least"
                value = "not measured" if target.value is None else f"{target.value:.3g} {target.unit}".strip()
                tell(f"  missed: {target.text}: {value}, target {sign} {target.limit:g} {target.unit}")
    return 0


def _program(path: Path) -> Path:
    # absolute(), not resolve(): a virtual environment's Python is a link, and leads out of it
    return Path(shutil.which(path) or path).absolute()


def _compare(name: str, bench: Bench) -> Result:
    module = import_module(f"scripts.bench.comparisons.{name}")
    began = time.monotonic()
    try:
        result: Result = module.measure(bench)
    except (DidNotRunError, OSError) as error:
        result = Result(name, name, module.ABOUT, did_not_run={"all of it": str(error)})
    result.took_s = time.monotonic() - began
    return result


def _commit() -> str:
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
