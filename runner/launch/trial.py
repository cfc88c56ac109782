"""What a process of a sweep does: it executes a run directory, as ``runner resume`` would."""

import sys
from pathlib import Path

from runner.errors import UserError
from runner.launch.pool import Job
from runner.runs.directory import RunDirectory
from runner.trust import Trust


def job_of(run: RunDirectory, trust: Trust) -> Job:
    """The job that executes a run; what its process prints goes into the run directory."""
    return Job(execute_run, (run.path, trust), run.output_file)


def execute_run(path: Path, trust: Trust) -> int:
    """Execute a run directory in this process; its exit code."""
    from runner.launch.single import execute_here
    from runner.training.signals import SCHEDULER_SIGNALS, StopRequest

    stop = StopRequest()
    try:
        with stop.listening(*SCHEDULER_SIGNALS):
            return execute_here(RunDirectory(path), trust, stop)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
