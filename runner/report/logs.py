"""What runs printed: shown, and followed while they go on."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TextIO

from runner.runs.directory import RunDirectory
from runner.runs.sweep_directory import SweepDirectory, number_of

_LOOK_EVERY_S = 0.5


def output_of(run: RunDirectory) -> Path:
    """The file of what a run printed: all that its processes printed where no terminal was, else the log of the run."""
    return run.output_file if run.output_file.is_file() else run.log_file


def outputs(directory: Path) -> dict[str, Path]:
    """The files of a run or of the runs of a sweep, by what stands before their lines: nothing, or the run's number."""
    if not SweepDirectory.is_one(directory):
        return {"": output_of(RunDirectory(directory))}
    runs = SweepDirectory(directory).runs().values()
    return {f"{number_of(run.path):04d}  ": output_of(run) for run in runs}


class Follower:
    """Shows files as they grow.

    Args:
        stream: Where to.
        last: Of what is there already, show so many lines of each file; None: all.
    """

    def __init__(self, stream: TextIO, last: int | None = None) -> None:
        self._stream = stream
        self._last = last
        self._places: dict[Path, int] = {}

    def show(self, files: Mapping[str, Path]) -> None:
        """Print the whole lines that are new, each behind what stands before the lines of its file."""
        for before, file in files.items():
            for line in self._new_lines(file):
                print(f"{before}{line}", file=self._stream)
        self._stream.flush()

    def _new_lines(self, file: Path) -> Iterable[str]:
        place = self._places.get(file, 0)
        try:
            with file.open("rb") as opened:
                if opened.seek(0, os.SEEK_END) < place:  # a file that was begun anew
                    place = 0
                opened.seek(place)
                new = opened.read()
        except FileNotFoundError:
            return []
        new = new[: new.rfind(b"\n") + 1]
        lines = new.decode(errors="replace").splitlines()
        if self._last is not None and file not in self._places:
            lines = lines[len(lines) - min(self._last, len(lines)) :]
        self._places[file] = place + len(new)
        return lines


def follow(directory: Path, follower: Follower, is_over: Callable[[], bool]) -> None:
    """Show what the runs of a directory print until they are over."""
    while True:
        over = is_over()  # before the last look, so that nothing is missed
        follower.show(outputs(directory))
        if over:
            return
        time.sleep(_LOOK_EVERY_S)
