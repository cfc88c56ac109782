"""Finding runs and laying them out as a table."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.lock import is_held
from runner.runs.rebuild import read_status
from runner.runs.status import Status
from runner.tracking.formatting import duration, number
from runner.tracking.formatting import table as layout


@dataclass(frozen=True, slots=True)
class Found:
    """A run directory and its status."""

    path: Path
    status: Status
    state: str
    """That of the status, but ``killed`` where no process executes a run that says ``running``, and ``damaged`` where
    the status cannot be read."""

    def record(self) -> dict[str, Any]:
        """Everything known, as plain values."""
        return {"run": str(self.path), **asdict(self.status), "state": self.state}


def find(root: Path) -> list[Found]:
    """The runs below a folder, newest first. A folder without a configuration is no run."""
    found = [run for folder in _run_folders(root) if (run := _look(folder))]
    return sorted(found, key=lambda run: (run.status.created, str(run.path)), reverse=True)


def _look(folder: Path) -> Found | None:
    try:
        status = Status.read(folder / "status.json")
    except UserError:
        is_run = (folder / "config.yaml").is_file()  # others have files called status.json too
        return Found(folder, read_status(RunDirectory(folder))[0], "damaged") if is_run else None
    except OSError:
        return None
    is_killed = status.state == "running" and not is_held(folder)
    return Found(folder, status, "killed" if is_killed else status.state)


def _run_folders(folder: Path) -> Iterator[Path]:
    """Every folder with a status; nothing is looked for inside one, nor in hidden folders."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    if any(entry.name == "status.json" for entry in entries):
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _run_folders(Path(entry.path))


def table(runs: Sequence[Found]) -> str:
    """The runs as aligned lines under a header."""
    rows = []
    for run in runs:
        status = run.status
        best = "-" if status.best is None else f"{status.monitor} {number(status.best)}"
        epochs = f"{status.epoch}/{status.epochs}" if status.epochs else "-"
        rows.append([str(run.path), run.state, epochs, best, duration(status.seconds)])
    return "\n".join(layout(["run", "state", "epochs", "best", "time"], rows))
