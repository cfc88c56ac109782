"""What a process of a sweep does: it executes a run directory, as ``runner resume`` would."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import UserError
from runner.launch.pool import Job
from runner.runs.directory import RunDirectory
from runner.trust import Trust

if TYPE_CHECKING:
    from runner.training.records import Judge


def job_of(run: RunDirectory, trust: Trust, judge: "Judge | None") -> Job:
    """The job that executes a run; what its process prints goes into the run directory."""
    return Job(execute_run, (run.path, trust, judge), run.output_file)


def execute_run(path: Path, trust: Trust, judge: "Judge | None") -> int:
    """Execute a run directory in this process; its exit code."""
    from runner.launch.single import execute_here
    from runner.training.signals import StopRequest, stop_signals

    stop = StopRequest()
    try:
        with stop.listening(*stop_signals()):
            return execute_here(RunDirectory(path), trust, stop, judge=judge)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
