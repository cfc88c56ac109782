"""Whether more will come of runs: asked by whoever follows them, or waits for them."""

import time
from collections.abc import Collection
from pathlib import Path

from runner.errors import UserError
from runner.launch.slurm.client import SlurmError
from runner.launch.slurm.jobs import Submitted, is_at_its_end, newest, workers
from runner.launch.slurm.queue import JobState, states
from runner.runs.directory import RunDirectory
from runner.runs.lock import is_held
from runner.runs.rebuild import read_status
from runner.runs.sweep_directory import SweepDirectory

ASK_EVERY_S = 15.0
"""How often Slurm is asked at the most: a cluster has many users."""


class Watch:
    """Looks at the runs of a directory from time to time: at their status, and at the queue where they have jobs.

    Args:
        directory: Of a run or a sweep.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._jobs: dict[Path, Submitted] = {}
        self._known: dict[str, JobState] = {}
        self._is_answered = True
        self._due = 0.0

    def runs(self) -> list[RunDirectory]:
        """Those that are there."""
        if SweepDirectory.is_one(self._directory):
            return list(SweepDirectory(self._directory).runs().values())
        return [RunDirectory(self._directory)]

    def is_over(self) -> bool:
        """Whether none of the runs is executed, or will be as things stand."""
        unfinished, arrays = self.unfinished(), workers(self._directory)
        if not unfinished and not arrays:
            return True
        if any(is_held(folder) for folder in [self._directory, *(run.path for run in unfinished)]):
            return False
        self._ask([run.path for run in unfinished], arrays)
        if not self._is_answered:
            return False
        if any(not state.is_over and state.array in arrays for state in self._known.values()):
            return False
        return not any(state is not None and not state.is_over for run in unfinished for state in [self.job(run)])

    def unfinished(self) -> list[RunDirectory]:
        """The runs that have not come to an end, or were submitted again after that."""
        runs = self.runs()
        jobs = newest(run.path for run in runs)
        return [run for run in runs if not is_at_its_end(read_status(run), jobs.get(run.path))]

    def job(self, run: RunDirectory) -> JobState | None:
        """How the job of a run was when Slurm was last asked; None where it has none, or Slurm did not know it."""
        job = self._jobs.get(run.path)
        return self._known.get(job.name) if job else None

    def _ask(self, runs: Collection[Path], arrays: Collection[str]) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + ASK_EVERY_S
        self._jobs = newest(runs)
        self._is_answered = True
        try:
            self._known = states([*(job.name for job in self._jobs.values()), *arrays])
        except SlurmError:
            self._is_answered = False  # it is busy: nobody knows
        except UserError:
            pass  # there is no Slurm here
