"""What the queue of Slurm says of runs and sweeps that are listed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from runner.launch.slurm.queue import JobState, of_directories
from runner.report.runs import Entry, FoundSweep, runs_of
from runner.runs.status import ENDED


def jobs_of(entries: Sequence[Entry]) -> dict[Path, list[JobState]]:
    """The jobs of runs that are not over, by the directory of the run or the sweep; Slurm is asked once, or not at all.

    Args:
        entries: Runs and sweeps, of which those without such a job are left out.
    """
    sweeps = [entry.path for entry in entries if isinstance(entry, FoundSweep) and entry.state not in ENDED]
    found, workers = of_directories({run.path: run.status for run in runs_of(entries)}, sweeps)
    by_entry = {
        entry.path: {job.name: job for job in workers.get(entry.path, ())}
        | {found[run.path].name: found[run.path] for run in runs_of([entry]) if run.path in found}
        for entry in entries
    }
    return {path: list(jobs.values()) for path, jobs in by_entry.items() if jobs}


def told(jobs: Sequence[JobState]) -> str:
    """In words: ``7 running on node3``, or of several ``8: 2 running, 5 pending (Priority)``; nothing of none."""
    if len(jobs) < 2:
        return "".join(f"{job.name} {job.told()}" for job in jobs)
    ids = dict.fromkeys(job.array for job in jobs)
    counts = Counter(job.in_short() for job in jobs)
    return f"{', '.join(ids)}: {', '.join(f'{count} {how}' for how, count in counts.items())}"


def state_of(entry: Entry, jobs: Sequence[JobState]) -> str:
    """The state of a run or a sweep; a sweep of which no run is running at the moment is not interrupted by that."""
    if isinstance(entry, FoundSweep) and entry.state == "interrupted" and not all(job.is_over for job in jobs):
        return "running"
    return entry.state
