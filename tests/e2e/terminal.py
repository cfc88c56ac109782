"""A terminal in which ``runner`` is typed, and the runs that come of it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNNER = [sys.executable, "-P", "-m", "runner"]
"""What the installed ``runner`` runs: -P keeps the current folder off ``sys.path``, as for a script in bin/."""


@dataclass(frozen=True)
class CommandLine:
    """A terminal in a folder."""

    folder: Path

    def start(self, *args: str, **environment: str) -> "subprocess.Popen[str]":
        """``runner ARGS`` as a process of its own that goes on while the test does."""
        return subprocess.Popen(
            [*RUNNER, *args],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *args: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """``runner ARGS`` from its start to its end."""
        process = self.start(*args, **environment)
        try:
            out, err = process.communicate()
        finally:
            process.kill()
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def runs(self) -> list[Path]:
        """The run directories below the folder, sorted."""
        return sorted(file.parent for file in self.folder.glob("**/status.json"))


@dataclass(frozen=True)
class Trained:
    """A completed run."""

    path: Path

    @property
    def status(self) -> dict[str, Any]:
        """What ``status.json`` says."""
        return dict(json.loads((self.path / "status.json").read_text()))

    @property
    def figures(self) -> dict[str, float]:
        """The metrics of the best epoch, by split and name."""
        return dict(self.status["metrics"])
