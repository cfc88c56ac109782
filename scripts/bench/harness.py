"""What every comparison uses: processes with pinned threads, interleaving, medians, and the form of a result."""

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class DidNotRunError(Exception):
    """A process failed; the message is the line that says why."""


@dataclass
class Row:
    """The measurements of one contender."""

    label: str
    samples: list[float]
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.samples) == 1:
            return self.samples[0], self.samples[0]
        first, _, third = statistics.quantiles(self.samples, n=4, method="inclusive")
        return first, third


@dataclass
class Table:
    """Contenders that were measured side by side.

    ``baseline`` names the row that the others are divided by. ``x`` makes it a curve: one number for each row, with
    what it counts.
    """

    title: str
    unit: str
    higher_is_better: bool = False
    baseline: str | None = None
    rows: list[Row] = field(default_factory=list)
    x: list[float] | None = None
    x_label: str = ""
    decimals: int = 3

    def add(self, label: str, samples: Sequence[float], note: str = "") -> None:
        self.rows.append(Row(label, [float(sample) for sample in samples], note))

    def median(self, label: str) -> float | None:
        return next((row.median for row in self.rows if row.label == label), None)


@dataclass
class Target:
    """What was aimed at: ``value`` (None: not measured) is to be at most, or at least, ``limit``."""

    text: str
    value: float | None
    limit: float
    at_most: bool = True
    unit: str = ""

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass
class Result:
    """One comparison."""

    name: str
    title: str
    about: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    did_not_run: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        plain = asdict(self)
        for table, described in zip(self.tables, plain["tables"], strict=True):
            for row, entry in zip(table.rows, described["rows"], strict=True):
                entry["median"], entry["quartiles"] = row.median, row.quartiles
        for target, entry in zip(self.targets, plain["targets"], strict=True):
            entry["met"] = target.met
        return plain


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None


@dataclass
class Bench:
    """Where things are, and how much is to be measured."""

    runner_python: Path
    peers_python: Path
    folder: Path
    """Of this benchmark's own files; removed at the end."""
    mnist: Path
    """Holds MNIST/raw."""
    rounds: int
    quick: bool

    @property
    def runner(self) -> list[str]:
        return [str(self.runner_python.with_name("runner"))]

    def fewer(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def call(self, python: Path, function: str, *, threads: int = 2, timeout_s: float = 600, **given: Any) -> Any:
        """What ``module:function`` returns for plain values, in a process of its own.

        Raises:
            DidNotRunError: If it raises, or takes too long.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            answer = Path(folder) / "answer.json"
            command = [str(python), "-m", "scripts.bench.work", function, json.dumps(given), str(answer)]
            self.process(command, threads=threads, timeout_s=timeout_s)
            return json.loads(answer.read_text())

    def process(
        self,
        command: Sequence[str],
        *,
        threads: int = 2,
        timeout_s: float = 600,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        expected: Sequence[int] = (0,),
    ) -> tuple[float, str]:
        """Seconds that a command took, and what it printed; nothing that it started outlives it.

        Raises:
            DidNotRunError: If it fails or takes too long.
        """
        with tempfile.TemporaryFile() as output:
            began = time.perf_counter()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd or ROOT,
                env=environment(threads) | dict(env or {}),
                start_new_session=True,
            )
            try:
                code = process.wait(timeout_s)
                took = time.perf_counter() - began
            except subprocess.TimeoutExpired:
                raise DidNotRunError(f"it took more than {timeout_s:.0f} s") from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0)
            text = output.read().decode(errors="replace")
        if code not in expected:
            raise DidNotRunError(_reason(text, code))
        return took, text


def environment(threads: int) -> dict[str, str]:
    """What every process starts with: this one's, but with a pinned number of threads and nobody's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COMP_", "SLURM"))}
    count = str(threads)
    return kept | {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "KERAS_BACKEND": "torch",
        "TERM": "xterm",
        "PYTHONWARNINGS": "ignore",
        "HF_HUB_OFFLINE": "1",
    }


def interleaved(
    result: Result, rounds: int, contenders: Mapping[str, Callable[[], float | None]]
) -> dict[str, list[float]]:
    """Samples of each contender, taken in turns: A B C A B C. One that fails is noted and left out from then on.

    A contender that gives None has nothing to report in that round.
    """
    samples: dict[str, list[float]] = {label: [] for label in contenders}
    for number in range(rounds):
        for label, measure in contenders.items():
            if label in result.did_not_run:
                continue
            with attempt(result, label):
                value = measure()
                if value is not None:
                    samples[label].append(value)
                    tell(f"  round {number + 1}/{rounds}  {label}: {value:.4g}")
    return {label: values for label, values in samples.items() if values}


@contextlib.contextmanager
def attempt(result: Result, label: str) -> Iterator[None]:
    """Whoever fails within the context is noted as such, and the rest goes on."""
    try:
        yield
    except DidNotRunError as error:
        result.did_not_run[label] = str(error)
        tell(f"  {label}: did not run: {error}")


def tell(text: str) -> None:
    print(text, flush=True)


def _reason(output: str, code: int) -> str:
    """The line of an output that says best why a process failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "error:" in line]
    said = errors[-1] if errors else (lines[-1] if lines else "it said nothing")
    said = re.sub(r"(?<![\w.])/[\w./-]+/", "", said)  # no folders of this machine on the page
    return f"{said[:300]} (exit code {code})"


if __name__ == "__main__":
    sys.exit("this is not a program: python -m scripts.bench")
