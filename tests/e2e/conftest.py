"""Things that the tests of whole commands start from."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

RUNNER = [sys.executable, "-P", "-m", "runner.cli"]
"""What the installed ``runner`` runs: -P keeps the current folder off ``sys.path``, as for a script in bin/."""


@dataclass(frozen=True)
class CommandLine:
    """A terminal in a folder, in which ``runner`` is typed."""

    folder: Path

    def start(self, *args: str, **environment: str) -> "subprocess.Popen[str]":
        """``runner ARGS`` as a process of its own, whose output can be read while it runs."""
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


@pytest.fixture
def runner(tmp_path: Path) -> CommandLine:
    """Types ``runner ...`` in the folder of the test: ``runner("train", "epochs=2").returncode``."""
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the checkout; without it the test is skipped."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder of real data beside the checkout")
    return folder
