"""Finding runs and sweeps on the disk; of each run only ``status.json`` is read."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from runner import yaml_text
from runner.errors import UserError, nearest
from runner.runs.direction import Direction, direction_of, higher_is_better
from runner.runs.directory import RunDirectory
from runner.runs.lock import is_held
from runner.runs.rebuild import read_status
from runner.runs.status import ENDED, Status
from runner.runs.sweep_directory import SweepDirectory

STATES = ("created", "running", "completed", "failed", "interrupted", "pruned", "killed", "damaged")
"""What ``Found.state`` can be."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What decides which of several runs is the best."""

    metric: str
    direction: Direction

    def better(self, one: float, other: float) -> bool:
        """Whether one value beats another; NaN beats nothing, any number beats NaN."""
        if one != one or other != other:
            return one == one
        return one > other if self.direction == "maximize" else one < other


@dataclass(frozen=True, slots=True)
class Found:
    """A run directory and its status."""

    path: Path
    status: Status
    state: str
    """That of the status, but ``killed`` where no process executes a run that says ``running``, and ``damaged`` where
    the status cannot be read."""

    @property
    def created(self) -> str:
        """When it was made."""
        return self.status.created

    @property
    def objective(self) -> Objective | None:
        """The monitored metric; None before the run has said which that is."""
        status = self.status
        if status.monitor is None:
            return None
        return Objective(status.monitor, status.direction or direction_of(higher_is_better(status.monitor)))

    def metric(self, name: str) -> float | None:
        """A figure of the run: of the monitored metric the best, of others those that the status holds."""
        if name == self.status.monitor and self.status.best is not None:
            return self.status.best
        return self.status.seconds if name == "seconds" else self.status.metrics.get(name)

    def seconds(self) -> float:
        """Time spent executing, up to now where the first execution goes on."""
        status = self.status
        if self.state == "running" and status.executions == 1 and status.started is not None:
            began = datetime.fromisoformat(status.started)
            return (datetime.now().astimezone() - began).total_seconds()
        return status.seconds

    def progress(self) -> str:
        """Epochs completed, and planned."""
        return f"{self.status.epoch}/{self.status.epochs}" if self.status.epochs else "-"


@dataclass(frozen=True)
class FoundSweep:
    """A sweep directory with the runs in it."""

    path: Path
    runs: tuple[Found, ...]
    """By number."""

    @cached_property
    def record(self) -> dict[str, Any]:
        """What ``sweep.yaml`` says, without the points, of which there may be thousands; empty if it is damaged."""
        try:
            parts = yaml_text.blocks(SweepDirectory(self.path).sweep_file.read_text(encoding="utf-8"))
            wanted = [parts[key] for key in ("created", "keys", "planned", "typed", "sweeper") if key in parts]
            return dict(yaml_text.load("".join(wanted)))
        except (OSError, ValueError, TypeError, yaml.YAMLError):
            return {}

    @property
    def created(self) -> str:
        """When it was made; of a damaged record, when its first run was."""
        return str(self.record.get("created") or min((run.status.created for run in self.runs), default=""))

    @property
    def planned(self) -> int:
        """How many runs it has when it is complete."""
        planned = self.record.get("planned")
        return max(planned if isinstance(planned, int) else 0, len(self.runs))

    @cached_property
    def counts(self) -> Counter[str]:
        """How many of its runs are in each state."""
        return Counter(run.state for run in self.runs)

    @property
    def state(self) -> str:
        """``running`` if one of its runs is; ``failed`` if all are over and one has failed."""
        if self.counts["running"]:
            return "running"
        if sum(self.counts[state] for state in ENDED) < self.planned:
            return "interrupted" if set(self.counts) - {"created"} else "created"
        return "failed" if self.counts["failed"] else "completed"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """As the sweep says, or else what its runs monitor."""
        sweeper = self.record.get("sweeper")
        wanted = sweeper.get("objectives") if isinstance(sweeper, dict) else None
        if not isinstance(wanted, list):
            return objectives_of(self.runs)
        monitors = (run.status.monitor for run in self.runs if run.status.monitor is not None)
        monitored = next(monitors, "monitor")  # as what "monitor" stands for, whatever that is
        return tuple(
            Objective(monitored if one["metric"] == "monitor" else one["metric"], one["direction"]) for one in wanted
        )

    @property
    def best(self) -> Found | None:
        """The best of its runs by the first objective."""
        return best_of(self.runs, self.objectives[0]) if self.objectives else None

    @property
    def best_value(self) -> float | None:
        """What the best run came to, by the first objective."""
        best = self.best
        return None if best is None else best.metric(self.objectives[0].metric)

    def seconds(self) -> float:
        """Time that its runs spent executing, all together."""
        return sum(run.seconds() for run in self.runs)

    def progress(self) -> str:
        """How many of its runs are over, and what became of those that are not complete."""
        over = sum(self.counts[state] for state in ENDED)
        others = [f"{self.counts[state]} {state}" for state in _TOLD if self.counts[state]]
        return ", ".join([f"{over}/{self.planned} runs", *others])


_TOLD = ("failed", "killed", "damaged", "interrupted", "pruned", "running")

Entry = Found | FoundSweep


def objectives_of(runs: Sequence[Found]) -> tuple[Objective, ...]:
    """What all of some runs monitor; nothing where they do not monitor the same."""
    monitored = {run.objective for run in runs} - {None}
    return tuple(one for one in monitored if one is not None) if len(monitored) == 1 else ()


def best_of(runs: Sequence[Found], objective: Objective) -> Found | None:
    """The best run; one that is not complete counts only where none is."""
    complete = [run for run in runs if run.state == "completed"]
    best, best_value = None, None
    for run in complete or runs:
        value = run.metric(objective.metric)
        if value is not None and value == value and (best_value is None or objective.better(value, best_value)):
            best, best_value = run, value
    return best


def find(root: Path) -> list[Found]:
    """The runs below a folder, newest first; those of sweeps like all others. One without a configuration is none."""
    found = [run for entry in entries(root) for run in (entry.runs if isinstance(entry, FoundSweep) else [entry])]
    return sorted(found, key=_age, reverse=True)


def entries(root: Path) -> list[Entry]:
    """The runs and the sweeps below a folder, newest first; of a sweep directory itself, its runs."""
    found = list(_entries(root))
    if len(found) == 1 and isinstance(found[0], FoundSweep) and found[0].path == root:
        found = list(found[0].runs)
    return sorted(found, key=_age, reverse=True)


def _age(entry: Entry) -> tuple[float, str]:
    return instant(entry.created), str(entry.path)


def instant(written: str) -> float:
    """A time as a status says it, in seconds since 1970: runs of machines in other zones are put in order by it.

    What is no time counts as long past.
    """
    try:
        return datetime.fromisoformat(written).timestamp()
    except (ValueError, TypeError):
        return 0.0


def given(folders: Sequence[Path], command: str) -> list[Entry]:
    """The runs and sweeps that are meant by directories: of runs, of sweeps, or with such in them; oldest first.

    Raises:
        UserError: If one is not there, or has no run in it.
    """
    found: dict[Path, Entry] = {}
    for folder in folders:
        if not folder.is_dir():
            close = nearest(folder.name, _names(folder.parent))
            raise UserError(
                f"{command} {folder}: " + ("is a file" if folder.exists() else "there is no such folder"),
                expected="the directory of a run or a sweep, or a folder with such in it",
                nearest=str(folder.parent / close) if close else None,
            )
        inside = list(_entries(folder))
        if not runs_of(inside):  # a sweep may have none yet: it waits for its jobs, or for its study's first trial
            raise UserError(f"{command} {folder}: there are no runs in it", fix="runner ls shows the runs")
        for entry in sorted(inside, key=lambda entry: str(entry.path)):
            found.setdefault(entry.path.absolute(), entry)
    return list(found.values())


def runs_of(found: Sequence[Entry]) -> list[Found]:
    """All runs of some entries, each once."""
    runs = [run for entry in found for run in (entry.runs if isinstance(entry, FoundSweep) else (entry,))]
    return list({run.path.absolute(): run for run in runs}.values())


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _entries(folder: Path) -> Iterator[Entry]:
    """Runs and sweeps; nothing is looked for inside a run, nor in hidden folders."""
    run = _look(folder)
    if run is not None:
        yield run
        return
    try:
        inside = list(os.scandir(folder))
    except OSError:
        return
    if any(entry.name == "sweep.yaml" for entry in inside):
        runs = (run for run in _below(inside) if isinstance(run, Found))
        yield FoundSweep(folder, tuple(sorted(runs, key=lambda run: run.path.name)))
    else:
        yield from _below(inside)


def _below(inside: Sequence["os.DirEntry[str]"]) -> Iterator[Entry]:
    for entry in inside:
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))


def _look(folder: Path) -> Found | None:
    """The run in a folder; None where it is none."""
    try:
        status = Status.read(folder / "status.json")
    except UserError as error:
        # Others have files called status.json too, and configurations without one.
        is_run = not isinstance(error.__cause__, FileNotFoundError) and (folder / "config.yaml").is_file()
        return Found(folder, read_status(RunDirectory(folder)), "damaged") if is_run else None
    except OSError:
        return None
    is_killed = status.state == "running" and not is_held(folder)
    return Found(folder, status, "killed" if is_killed else status.state)
