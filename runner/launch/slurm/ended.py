"""The end of a job, told to this module by the job's own script: ``python -m runner.launch.slurm.ended CODE ...``.

A run that was told to stop is queued again. A run that could not say any more how it ended is marked as failed. The
exit code of this is that of the job.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.errors import UserError
from runner.launch.settle import settle
from runner.launch.slurm.client import SlurmError, call
from runner.runs.attempt import this_attempt
from runner.runs.directory import RunDirectory
from runner.runs.files import end_of
from runner.runs.lock import RunLock
from runner.runs.rebuild import read_status
from runner.training.signals import EXIT_INTERRUPTED, stop_signals
from runner.typed import typed

_OUT_OF_MEMORY = ("oom_kill", "oom-kill", "out of memory", "memory limit")
"""What Slurm writes when it has killed a process for its memory; the exit code alone does not tell."""
_LAST_BYTES = 4096
_OF_THE_STEP = (125, 253)
"""Exit codes of srun for a step that ran out of memory, where it does not pass on that of the process."""


def main(args: Sequence[str]) -> int:
    """Do what is left to do; give the exit code of the job."""
    parser = argparse.ArgumentParser(prog="python -m runner.launch.slurm.ended")
    parser.add_argument("code", type=int)
    parser.add_argument("--requeues", type=int, required=True)
    parser.add_argument("--run", type=Path)
    options = parser.parse_args(args)
    if options.code == 0:
        return 0
    run = None if options.run is None else RunDirectory(options.run)
    code: int = options.code if run is None else meant(run, options.code)
    if code == EXIT_INTERRUPTED:
        for line in queue_again(options.requeues, options.run):
            print(line, flush=True)
    elif code != 0 and run is not None:
        mark(run, code)
    return code


def meant(run: RunDirectory, code: int) -> int:
    """The exit code that a run was about to give when another signal, or a crash, ended its process on the way out."""
    state = read_status(run).state
    if state == "completed":
        return 0
    was_asked = code in [128 + number for number in stop_signals()]
    return EXIT_INTERRUPTED if state == "interrupted" and was_asked else code


def queue_again(requeues: int, run: Path | None) -> Iterator[str]:
    """Queue this job again, unless it was cancelled or that has happened so often; lines on it, to be shown at once.

    Args:
        requeues: How often it may be.
        run: The run directory, where the job has one.
    """
    attempt = this_attempt()
    if attempt is None:
        yield "not queued again: this is no job"
        return
    on = f"; to go on: {typed('runner', 'submit', run)}" if run is not None else ""
    if attempt.number >= requeues:
        yield f"not queued again: it was {attempt.number} times already, as often as launcher.requeues says{on}"
        return
    try:
        state, reason = call(["squeue", "-h", "-j", attempt.job, "-o", "%T|%r"]).strip().split("|")
        # Slurm would take back a job that was just cancelled, as long as that is ending. What its time limit ends may.
        if state != "RUNNING" and reason != "TimeLimit":
            yield f"not queued again: job {attempt.job} was ended from outside{on}"
            return
        # Said before: with the request Slurm ends the job, and this process.
        yield f"queueing job {attempt.job} again, {attempt.number + 1} of {requeues} times"
        call(["scontrol", "requeue", attempt.job])
    except (SlurmError, UserError, ValueError) as error:
        yield f"not queued again: {error}{on}"


def mark(run: RunDirectory, code: int) -> None:
    """Mark a run as failed whose process died without saying why.

    Args:
        run: The run.
        code: The exit code of the job's script, which is that of srun: a process killed by signal N gives 128 + N.
    """
    reason = _out_of_memory(code, run.output_file)
    try:
        with RunLock(run.path, this_attempt()):
            settle(run, 128 - code if 128 < code < 192 else code, asked_to_stop=False, reason=reason)
    except UserError:
        pass  # another attempt executes the run by now, and this is the end of the one before


def _out_of_memory(code: int, output: Path) -> str | None:
    """What to say of a run that was killed for its memory; None of others."""
    text = end_of(output, _LAST_BYTES).lower()
    if code not in _OF_THE_STEP and not any(words in text for words in _OUT_OF_MEMORY):
        return None
    megabytes = os.environ.get("SLURM_MEM_PER_NODE")
    had = f"the {megabytes} MB of memory that the job had" if megabytes else "the job's memory"
    return f"was killed because it took more than {had}: launcher.memory=... asks for more"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
