"""How a run came about: what it takes to explain, or to repeat, its result."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from runner.runs.status import now


def collect(command: Sequence[str], project: Path, import_paths: Sequence[Path]) -> dict[str, Any]:
    """The record of a command, without importing torch.

    Args:
        command: The command line as typed.
        project: The folder of the user's code; its git state is recorded.
        import_paths: Folders from which the run may import the user's code.
    """
    return {
        "command": list(command),
        "directory": str(project),
        "import_paths": [str(path) for path in import_paths],
        "created": now(),
        "git": git_state(project),
        "python": sys.version,
        "packages": packages(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "thread_variables": {
            name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ
        },
    }


def packages() -> dict[str, str]:
    """Name and version of every installed distribution."""
    found = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def cpu_name() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, branch and, when there are uncommitted changes, the patch; None outside a git checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    patch = _git(folder, "diff", "HEAD") or ""
    untracked = (_git(folder, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    return {
        "commit": commit.strip(),
        "branch": (_git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "").strip(),
        "dirty": bool(patch or untracked),
        "patch": patch,
        "untracked": untracked,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
