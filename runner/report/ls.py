"""Finding runs and laying them out as a table."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.runs.status import Status
from runner.tracking.formatting import duration, number
from runner.tracking.formatting import table as layout


@dataclass(frozen=True, slots=True)
class Found:
    """A run directory and its status."""

    path: Path
    status: Status

    def record(self) -> dict[str, Any]:
        """Everything known, as plain values."""
        return {"run": str(self.path), **asdict(self.status)}


def find(root: Path) -> list[Found]:
    """The runs below a folder, newest first. A folder without a readable status is no run."""
    found = []
    for folder in _run_folders(root):
        try:
            found.append(Found(folder, Status.read(folder / "status.json")))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(found, key=lambda run: (run.status.created, str(run.path)), reverse=True)


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
        rows.append([str(run.path), status.state, epochs, best, duration(status.seconds)])
    return "\n".join(layout(["run", "state", "epochs", "best", "time"], rows))
