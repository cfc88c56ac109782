"""What belongs to one execution of a run."""

from dataclasses import dataclass

from runner.parallel.meeting import Meeting
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock
from runner.runs.status import Status
from runner.tracking.console import Console
from runner.training.records import Judge
from runner.training.signals import StopRequest
from runner.trust import Trust


@dataclass(slots=True)
class Execution:
    """A run directory that is being executed, by one process or by one of several.

    Args:
        run: The directory.
        trust: Whose code it may name.
        stop: Where a signal leaves its request.
        lock: That of the directory; None for a process that writes nothing.
        status: What is written of its progress.
        console: Told what goes on.
        judge: Asked after every epoch whether to go on.
        meeting: Where the processes that train together find each other; None: this one trains by itself.
    """

    run: RunDirectory
    trust: Trust
    stop: StopRequest
    lock: RunLock | None
    status: Status
    console: Console
    judge: Judge | None = None
    meeting: Meeting | None = None
