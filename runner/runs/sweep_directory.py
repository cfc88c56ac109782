"""A sweep on disk: what was asked for, and a run directory for each point of it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runner import yaml_text
from runner.errors import UserError
from runner.runs.directory import RunDirectory, make_whole, plain_name
from runner.runs.files import write_atomic

_LABEL_CHARACTERS = 100
"""Of a run's name: file systems take 255 bytes, and the run adds to its name while it is made."""


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """What ``sweep.yaml`` holds."""

    created: str
    """ISO 8601 with the offset from UTC."""
    typed: list[str]
    """The overrides of the command line."""
    keys: list[str]
    """What differs between the runs: the keys of their overrides, such as ``optimizer.lr`` and ``seed``."""
    planned: int
    """How many runs the sweep has when it is complete."""
    points: list[list[str]] | None
    """The overrides of each run; None where a study chooses them one after the other."""
    threads: int
    """CPU threads of each run, where its configuration does not say."""
    sweeper: dict[str, Any] = field(default_factory=dict)
    """Settings of what chose, or chooses, the points."""
    launcher: dict[str, Any] = field(default_factory=dict)
    """Settings of what runs them."""


@dataclass(frozen=True, slots=True)
class SweepDirectory:
    """The paths of one sweep. ``SweepDirectory.open`` checks that a folder is one."""

    path: Path

    @property
    def sweep_file(self) -> Path:
        """What was asked for."""
        return self.path / "sweep.yaml"

    @property
    def runs_folder(self) -> Path:
        """The folder of the run directories."""
        return self.path / "runs"

    @property
    def journal(self) -> Path:
        """The trials of a study, in the form of Optuna's journal; only where a study chooses the points."""
        return self.path / "study.journal"

    @classmethod
    def is_one(cls, path: Path) -> bool:
        """Whether a folder is a sweep."""
        return (path / "sweep.yaml").is_file()

    @classmethod
    def open(cls, path: Path) -> "SweepDirectory":
        """The sweep in ``path``.

        Raises:
            UserError: If there is none.
        """
        if cls.is_one(path):
            return cls(path)
        raise UserError(
            f"{path} is not a sweep directory: "
            + ("it has no sweep.yaml" if path.is_dir() else "there is no such folder"),
            expected="a folder that runner train -m made, such as outputs/2026-11-20/13-20-33-sweep",
        )

    @classmethod
    def of_run(cls, run: Path) -> "SweepDirectory | None":
        """The sweep that a run directory belongs to; None for a run of its own."""
        path = run.absolute().parent.parent
        return cls(path) if run.absolute().parent.name == "runs" and cls.is_one(path) else None

    def record(self) -> SweepRecord:
        """What ``write`` wrote.

        Raises:
            UserError: If that is not what the file holds.
        """
        try:
            return SweepRecord(**yaml_text.load(self.sweep_file.read_text(encoding="utf-8")))
        except (TypeError, ValueError, yaml.YAMLError) as error:
            raise UserError(
                f"{self.sweep_file} is damaged: {error}", expected="what runner train -m wrote", fix="put back a copy"
            ) from None

    def write(self, record: SweepRecord) -> None:
        """Replace ``sweep.yaml``."""
        write_atomic(self.sweep_file, yaml_text.dump(asdict(record)).encode())

    def runs(self) -> dict[int, RunDirectory]:
        """The run directories that are there, by number."""
        found = {}
        for folder in sorted(self.runs_folder.glob("*")):  # an empty folder may not have been copied along
            number, _, _ = folder.name.partition("-")
            if number.isdigit() and (folder / "config.yaml").is_file():
                found[int(number)] = RunDirectory(folder)
        return found

    def place(self, number: int, values: Sequence[tuple[str, str]]) -> Path:
        """Where a run belongs: ``runs/0003-lr-0.1-seed-0``.

        Args:
            number: Of the run, counted from 0.
            values: The keys that differ, with the run's own values.
        """
        label = "".join(f"-{key.rpartition('.')[2]}-{value}" for key, value in values)
        return self.runs_folder / f"{number:04d}{plain_name(label)[:_LABEL_CHARACTERS]}"


def number_of(run: Path) -> int:
    """The number of a run in its sweep, from the name of its directory."""
    return int(run.name.partition("-")[0])


def create(wanted: Path, record: SweepRecord, fill: Callable[[SweepDirectory], None]) -> SweepDirectory:
    """Make a sweep directory that has all that it begins with from its first instant.

    One that was killed while it was made is no sweep, where resuming it would train the runs that were there and call
    it complete. ``wanted`` gets ``-2``, ``-3``, ... when it exists.

    Args:
        wanted: Where it goes.
        record: What ``sweep.yaml`` holds.
        fill: Puts into it what else it begins with.

    Raises:
        UserError: If it cannot be made; nothing is left behind.
    """

    def fill_whole(draft: Path) -> None:
        made = SweepDirectory(draft)
        made.runs_folder.mkdir()
        made.write(record)
        fill(made)

    return SweepDirectory(make_whole("sweep directory", wanted, fill_whole))
