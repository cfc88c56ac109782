"""Taking jobs out of the queue, and ending those that run."""

from collections.abc import Collection
from pathlib import Path

from runner.errors import UserError
from runner.launch.slurm.client import SlurmError, call
from runner.launch.slurm.jobs import Jobs, newest, submissions
from runner.launch.slurm.queue import JobState, states
from runner.runs.sweep_directory import SweepDirectory


def cancel(directory: Path) -> list[JobState]:
    """Cancel the job of a run, or all jobs of a sweep; how each job or task was that was waiting or running.

    A run that executes is told to save, and has as long for it as the cluster gives.

    Raises:
        UserError: If Slurm cannot be asked, or refuses.
    """
    names = _names(directory)
    try:
        found = [state for state in states(names).values() if not state.is_over]
        if found:
            # An array is named as a whole, so that tasks that are not listed one by one are cancelled too.
            ids = {state.array for state in found} & names
            single = {state.name for state in found if state.array not in ids}
            call(["scancel", *sorted(ids | single)])
            _note(directory, ids | single)
    except SlurmError as error:
        raise UserError(f"Slurm does not cancel {', '.join(sorted(names))}: {error}") from None
    return found


def _names(directory: Path) -> set[str]:
    """What the queue calls the jobs of a run or a sweep."""
    if not SweepDirectory.is_one(directory):
        return {job.name for job in newest([directory]).values()}
    return {job.id for folder in _folders(directory) for job in submissions(folder)}


def _note(directory: Path, cancelled: Collection[str]) -> None:
    for folder in _folders(directory):
        jobs = Jobs.of(folder)
        changed = jobs and jobs.with_cancelled(cancelled)
        if changed and changed != jobs:
            changed.write()


def _folders(directory: Path) -> list[Path]:
    """The directories whose jobs are meant: a run and its sweep, or a sweep and its runs."""
    if SweepDirectory.is_one(directory):
        return [directory, *(run.path for run in SweepDirectory(directory).runs().values())]
    sweep = SweepDirectory.of_run(directory)
    return [directory, sweep.path] if sweep else [directory]
