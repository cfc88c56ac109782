"""How a run of a sweep ended, also where its process could not say so any more."""

import contextlib
import signal
from datetime import datetime

from runner.runs.directory import RunDirectory
from runner.runs.files import end_of
from runner.runs.lock import is_held
from runner.runs.rebuild import read_status
from runner.runs.status import Status

_LINES_OF_OUTPUT, _BYTES_OF_OUTPUT = 40, 1 << 16


def settle(run: RunDirectory, exit_code: int, asked_to_stop: bool, reason: str | None = None) -> Status:
    """The status of a run whose process has ended; of one that died, the status is written here.

    Args:
        run: The run; no process executes it any more.
        exit_code: Of its process; a negative one is the signal that killed it.
        asked_to_stop: Whether it was to stop: then a killed process is no failure.
        reason: What became of the process, where more is known than its exit code.
    """
    status = read_status(run)
    if status.state not in ("created", "running"):
        return status
    reason = reason or _reason(exit_code)
    # A crash leaves its traceback there.
    said = "\n".join(end_of(run.output_file, _BYTES_OF_OUTPUT).splitlines()[-_LINES_OF_OUTPUT:]).strip()
    if asked_to_stop and exit_code < 0:
        status.end("interrupted", f"{reason} before it had saved")
    else:
        status.end("failed", f"{reason}\n{said}" if said else reason)
    status.write(run.status_file)
    with contextlib.suppress(OSError), run.log_file.open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  the process {reason}\n")
    return status


def settle_unless_held(run: RunDirectory, exit_code: int, asked_to_stop: bool) -> Status:
    """The same, where it may be that another process, which had the run first, executes it: then nothing is written."""
    return read_status(run) if is_held(run.path) else settle(run, exit_code, asked_to_stop)


def _reason(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code} and without a word"
    name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
    if name == "SIGKILL":
        return "was killed by SIGKILL, as the system does with a process when memory runs out"
    return f"{'crashed' if name in _CRASHES else 'was killed'}: {name}"


_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")
