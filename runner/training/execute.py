"""The one way to train: execute a run directory, from wherever it stands to its end."""

import signal
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from runner.config.frozen import frozen
from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.lock import LostLockError, RunLock
from runner.runs.rebuild import read_status
from runner.runs.status import Status
from runner.tracking.console import Console
from runner.training.loop import train
from runner.training.recorder import Judge
from runner.training.session import open_session
from runner.training.signals import EXIT_CTRL_C, SCHEDULER_SIGNALS, StopNow, StopRequest
from runner.trust import Trust


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
    judge: Judge | None = None,
) -> Outcome:
    """Train what the directory says, from its newest checkpoint if it has one, until it is complete or asked to stop.

    Only one process executes a directory at a time. A failure is told in the log, in ``status.json`` and in the exit
    code; the traceback of a fault that is not the user's mistake is shown and kept in the log.

    Args:
        run: The directory.
        trust: Whose code it may name.
        stop: Where a signal leaves its request; signals are listened to from here on at the latest.
        change: Called before anything is read, when no other process executes the directory any more.
        judge: Asked after every epoch whether to go on.

    Raises:
        UserError: If another process executes the directory, it is of another version, names code that is not trusted,
            or ``change`` refuses; nothing is written then.
        OSError: If the directory cannot be written at all.
    """
    trust.check(run.config(), run.path)
    frozen(run)
    with RunLock(run.path) as lock, stop.listening(*SCHEDULER_SIGNALS, signal.SIGINT):
        change()
        status, lost = read_status(run)
        status.begin()
        status.write(run.status_file)
        console = Console(log_file=run.log_file)
        if lost:
            console.warn(lost)
        began, code = time.monotonic(), 1
        try:
            code = _train(run, status, trust, lock, console, stop, judge)
        except LostLockError as error:
            status.end("failed", str(error))
            console.close()
            Console().error(str(error))  # not in the log, which is another process's now
            return Outcome(code, status)
        except KeyboardInterrupt:
            code = EXIT_CTRL_C
            status.end("interrupted", "left at once, at a second Ctrl-C")
            console.warn(f"left at once; to go on from the last checkpoint: runner resume {run.path}")
        except UserError as error:
            status.end("failed", str(error))
            console.error(str(error))
        except torch.OutOfMemoryError as error:
            status.end("failed", str(out_of_memory(run, error)))
            console.error(status.error or "")
        except OSError as error:
            status.end("failed", f"{type(error).__name__}: {error}")
            console.error(f"{run.path} could not be written or read: {error}\n  what was saved before is whole")
        except (Exception, SystemExit) as error:  # a user's code may call sys.exit
            status.end("failed", f"{type(error).__name__}: {error}")
            console.error(traceback.format_exc())
        console.close()
        status.seconds = round(status.seconds + time.monotonic() - began, 3)
        try:
            status.write(run.status_file)
        except OSError as error:
            code = 1
            status.end("failed", status.error or f"{type(error).__name__}: {error}")
            console.error(f"{run.status_file} could not be written and still says what was true before: {error}")
    return Outcome(code, status)


def _train(
    run: RunDirectory,
    status: Status,
    trust: Trust,
    lock: RunLock,
    console: Console,
    stop: StopRequest,
    judge: Judge | None,
) -> int:
    try:
        with ExitStack() as opened:
            with stop.at_once():
                session = opened.enter_context(open_session(run, status, trust, lock, console, judge))
                progress, scores = session.restore()
            train(session.parts, session.plan, progress, scores, session.recorder, stop)
            with stop.at_once():
                if not session.plan.fulfilled(progress):
                    status.end("pruned")
                    console.note(f"pruned   after epoch {progress.epoch}: the study has better ones")
                    return 0
                session.finish(progress)
    except StopNow:
        status.end("interrupted")
        where = f"after step {status.step:,}, saved" if status.step else "before the first step"
        console.note(f"stopped {where}; to go on: runner resume {run.path}")
        return stop.exit_code
    status.end("completed")
    return 0


def out_of_memory(run: RunDirectory, error: torch.OutOfMemoryError) -> UserError:
    """What to tell when the device's memory was not enough."""
    config = run.config()
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    batch_size, accumulate = config["data"]["batch_size"], config["training"]["accumulate"]
    halved = f"data.batch_size={batch_size // 2} with training.accumulate={2 * accumulate} needs half of it; "
    return UserError(
        f"the device is out of memory: {peak:.1f} GiB were in use at the most, with data.batch_size={batch_size} "
        f"and data.eval_batch_size={config['data']['eval_batch_size']}",
        where=str(error).splitlines()[0] if str(error) else None,
        fix=f"{halved if batch_size > 1 else ''}device.precision=bf16 halves the activations; in an evaluation, "
        "a smaller data.eval_batch_size",
    )
