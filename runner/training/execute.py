"""The one way to train: execute a run directory, from wherever it stands to its end."""

import signal
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

from runner.config.frozen import frozen
from runner.parallel.meeting import Meeting
from runner.runs.attempt import Attempt, this_attempt
from runner.runs.directory import RunDirectory
from runner.runs.lock import LostLockError, RunLock
from runner.runs.rebuild import read_or_rebuild
from runner.runs.status import Status
from runner.tracking.console import Console
from runner.tracking.formatting import counted
from runner.training.execution import Execution
from runner.training.failures import is_of_disk, mistake_behind
from runner.training.loop import train
from runner.training.ranks import RankFailedError, together, write_to
from runner.training.records import Judge
from runner.training.session import open_session
from runner.training.signals import EXIT_CTRL_C, SharedStop, StopNow, StopRequest, stop_signals
from runner.trust import Trust
from runner.typed import typed


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended.

    Args:
        exit_code: As the command line gives it.
        status: What the run's ``status.json`` says.
    """

    exit_code: int
    status: Status


def execute(
    run: RunDirectory,
    trust: Trust,
    stop: StopRequest,
    change: Callable[[], None] = lambda: None,
    carry_out: Callable[[Execution], int] | None = None,
) -> Outcome:
    """Train what the directory says, from its newest checkpoint if it has one, until it is complete or asked to stop.

    Only one execution of a directory goes on at a time. A failure is told in the log, in ``status.json`` and in the
    exit code; the traceback of a fault that is not the user's mistake is shown and kept in the log.

    Args:
        run: The directory.
        trust: Whose code it may name.
        stop: Where a signal leaves its request; signals are listened to from here on at the latest.
        change: Called before anything is read, when nobody else executes the directory any more.
        carry_out: Has it trained, says in the status how that ended, and gives the exit code; None: this process
            trains, by itself.

    Raises:
        UserError: If the directory is being executed, it is of another version, names code that is not trusted, or
            ``change`` refuses; nothing is written then.
        OSError: If the directory cannot be written at all.
    """
    trust.check(run.config(), run.path)
    frozen(run)
    run.provenance()  # each file that is damaged is refused here, before anything is written
    attempt = this_attempt()
    with RunLock(run.path, attempt) as lock, stop.listening(*stop_signals(), signal.SIGINT):
        change()
        status, lost = read_or_rebuild(run)
        was_pruned = status.state == "pruned"
        job = None if attempt is None else _about(attempt, status)
        console = Console(log_file=run.log_file)
        status.begin()
        status.write(run.status_file)
        if job:
            console.note(job)
        if lost:
            console.warn(lost)
        if was_pruned:
            console.warn("a study has pruned this run; it goes on, and the study is not told what it comes to")
        began, spent_before = time.monotonic(), status.seconds
        execution = Execution(run, trust, stop, lock, status, console)
        try:
            code = (carry_out or train_here)(execution)
        except LostLockError as error:
            status.end("failed", str(error))
            console.close()
            Console().error(str(error))  # not in the log, which is another process's now
            return Outcome(1, status)
        status = execution.status
        console.close()
        status.seconds = round(spent_before + time.monotonic() - began, 3)
        try:
            status.write(run.status_file)
        except OSError as error:
            code = 1
            status.end("failed", status.error or f"{type(error).__name__}: {error}")
            console.error(f"{run.status_file} could not be written and still says what was true before: {error}")
    return Outcome(code, status)


def take_part(
    run: RunDirectory,
    trust: Trust,
    stop: StopRequest,
    meeting: Meeting,
    token: str | None = None,
    judge: Judge | None = None,
) -> int:
    """Train as one of several processes, of an execution that another process looks after; give the exit code.

    Args:
        run: The directory.
        trust: Whose code it may name.
        stop: Where a signal leaves its request.
        meeting: Where the others are found.
        token: Of the lock that the other process holds; for the first process, which writes.
        judge: Asked by the first process after every epoch whether to go on.

    Raises:
        LostLockError: If the directory is no longer ours to write.
        OSError: If the status cannot be written.
    """
    trust.check(run.config(), run.path)
    with stop.listening(*stop_signals(), signal.SIGINT):
        if meeting.is_first:
            status, console = Status.read(run.status_file), Console(log_file=run.log_file)
            execution = Execution(run, trust, stop, RunLock(run.path, token=token), status, console, judge, meeting)
        else:
            write_to(run.log_of_rank(meeting.place.rank))
            execution = Execution(run, trust, stop, None, Status(state="running"), Console(), None, meeting)
        code = train_here(execution)
        execution.console.close()
        if meeting.is_first:
            execution.status.write(run.status_file)
    return code


def train_here(execution: Execution) -> int:
    """Train in this process, say in the status how that ended, and give the exit code.

    Raises:
        LostLockError: If the directory is no longer ours to write.
    """
    run, status, console = execution.run, execution.status, execution.console
    try:
        code = _train(execution)
        if code:
            interrupted(execution)
        elif status.state == "running":
            status.end("completed")
        return code
    except LostLockError:
        raise
    except RankFailedError as error:
        if error.is_silent and this_attempt() is not None:
            # If a node has failed, the job starts again, and the run goes on; else its script says how this one ended.
            status.error = error.error
        else:
            status.end("failed", error.error)
        console.error(error.told)
    except KeyboardInterrupt:
        status.end("interrupted", "left at once, at a second Ctrl-C")
        console.warn(f"left at once; to go on from the last checkpoint: {typed('runner', 'resume', run.path)}")
        return EXIT_CTRL_C
    except (Exception, SystemExit) as error:  # a user's code may call sys.exit
        mistake = mistake_behind(error, run)
        status.end("failed", mistake or f"{type(error).__name__}: {error}")
        if mistake:
            console.error(mistake)
        elif is_of_disk(error, run):
            console.error(f"{run.path} could not be written or read: {error}\n  what was saved before is whole")
        else:
            console.error(traceback.format_exc())
    return 1


def interrupted(execution: Execution) -> None:
    """Say that a run was stopped on request, and how it goes on."""
    status = execution.status
    status.end("interrupted")
    if execution.lock is None:
        return execution.console.note("stopped")
    where = f"after step {status.step:,}, saved" if status.step else "before the first step"
    execution.console.note(f"stopped {where}; to go on: {typed('runner', 'resume', execution.run.path)}")


def _train(execution: Execution) -> int:
    """Train; 0 when the run is complete, and the exit code of a stop otherwise."""
    stop, meeting = execution.stop, execution.meeting
    try:
        with ExitStack() as opened:
            with stop.at_once():
                group = opened.enter_context(together(meeting, execution.run.config(), stop)) if meeting else None
                session = opened.enter_context(open_session(execution, group))
                progress, scores = session.restore()
            shared = stop if group is None else SharedStop(stop, group.vote())
            train(session.parts, session.plan, progress, scores, session.recorder, shared)
            with stop.at_once() if group is None else nullcontext():
                if not session.plan.fulfilled(progress) and not shared.requested:
                    execution.status.end("pruned")
                    execution.console.note(f"pruned   after epoch {progress.epoch}: the study has better ones")
                    return 0
                session.finish(progress, shared)
    except StopNow:
        return stop.exit_code
    return 0


def _about(attempt: Attempt, before: Status) -> str:
    """The batch job that executes the run, and how its attempt before this one ended if nothing else says so."""
    again = f", queued again {counted(attempt.number, 'time')}" if attempt.number else ""
    died = attempt.number and before.state == "running"
    unsaid = f"; on {before.host} it ended without a word: the node failed, or it was killed" if died else ""
    return f"job      {attempt.job} on {attempt.node or socket.gethostname()}{again}{unsaid}"
