"""The real Slurm of a test session, and a project to submit from."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.runs.directory import RunDirectory
from runner.runs.status import Status

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "slurm-sandbox"
PATIENCE_S = 90.0


def until(happened: Callable[[], object], what: str, printed: Callable[[], str] = str) -> None:
    """Return when something has happened; fail with its name, and with what was printed, if it does not."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, f"after {PATIENCE_S:.0f} s not yet: {what}\n{printed()}"
        time.sleep(0.1)


def free_ports() -> int:
    """The first of a hundred ports of which those that a sandbox takes are free."""
    for first in range(17_000, 30_000, 100):
        ports = [first, *range(first + 1, first + 6), first + 90, first + 91]
        if all(is_free(port) for port in ports):
            return first
    raise AssertionError("no ports are free")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Sandbox:
    """A cluster on this machine."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def do(self, *words: str) -> None:
        """Call the script that makes the cluster: ``do("fail", "127.0.0.1")``."""
        command, *rest = words
        done = subprocess.run(
            [SCRIPT, command, self.folder, *rest], env={**os.environ, **self.variables}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def call(self, *words: str) -> str:
        """What a command of Slurm prints."""
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout

    def job(self, name: str) -> dict[str, str]:
        """What Slurm knows of a job or task: ``JobState``, ``ExitCode``, ``Restarts``, ``NodeList`` and so on."""
        words = self.call("scontrol", "show", "job", name).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def ended(self, name: str) -> dict[str, str]:
        """The same, once the job is over."""
        until(lambda: self.job(name)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"), f"the end of job {name}")
        return self.job(name)


@dataclass(frozen=True)
class Project:
    """A folder from which runs are submitted, as from a shell."""

    path: Path

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``runner ...``, typed in the folder."""
        command = [sys.executable, "-P", "-m", "runner", *words]
        return subprocess.run(command, cwd=self.path, capture_output=True, text=True, timeout=120)

    def submit(self, name: str, *words: str) -> "SubmittedRun":
        """Submit a run into ``outputs/NAME``: few resources, and a few updates if nothing else is said."""
        small = ["launcher.cpus=1", "launcher.memory=1G", "tracking.tensorboard=false"]
        done = self.type("submit", f"run_dir=outputs/{name}", *small, *words)
        assert done.returncode == 0, done.stderr
        return SubmittedRun(RunDirectory(self.path / "outputs" / name), done.stdout)


@dataclass(frozen=True)
class SubmittedRun:
    """A run and what was printed when it was submitted."""

    run: RunDirectory
    printed: str

    @property
    def job(self) -> str:
        """The number of its newest job."""
        return str(json.loads((self.run.path / "jobs.json").read_text())["jobs"][-1]["id"])

    @property
    def status(self) -> Status:
        """Where it stands."""
        return Status.read(self.run.status_file)

    @property
    def output(self) -> str:
        """What it printed."""
        return self.run.output_file.read_text() if self.run.output_file.exists() else ""

    def reaches(self, state: str) -> None:
        """Return when it is in a state."""
        until(
            lambda: self.status.state == state,
            f"{self.run.path.name} {state}; now {self.status}, printed: {self.output}",
        )

    def has_saved(self) -> None:
        """Return when it has a checkpoint."""
        until(
            lambda: (self.run.checkpoints / "last.pt").exists(), f"a checkpoint of {self.run.path.name}: {self.output}"
        )

    def is_executed_again(self) -> None:
        """Return when its second execution has begun."""
        until(lambda: self.status.executions == 2, f"another attempt of {self.run.path.name}", lambda: self.output)
