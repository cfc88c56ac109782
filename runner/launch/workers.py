"""Starting the processes that train one run together, on this machine, and seeing how they end.

Torch's elastic launcher starts them; the process that calls it computes nothing. What a signal asks of it, it hands on
to them, and they decide together at which step they stop.
"""

import logging
import multiprocessing
import os
import re
import select
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from runner.errors import UserError
from runner.parallel.meeting import Meeting
from runner.parallel.place import QUIET, find_place
from runner.processes import end_with_parent
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.streams import make_printable
from runner.training.execute import interrupted, take_part
from runner.training.execution import Execution
from runner.training.records import Judge
from runner.training.signals import EXIT_CTRL_C, StopRequest, stop_signals
from runner.trust import Trust
from runner.typed import typed

_LEAVE_WITHIN_S = 20.0
"""How long the others may take to leave when one has died; what they wait for may never come."""
_LOOK_EVERY_S = 0.2
_PATIENCE = 3
"""The how many-th Ctrl-C kills the processes, which should have left at the second one."""


def supervise(execution: Execution, number: int) -> int:
    """Have a run trained by so many processes, say in its status how that ended, and give the exit code.

    Raises:
        LostLockError: If the directory is no longer ours to write.
    """
    run, console = execution.run, execution.console
    assert execution.lock is not None
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        signals_to_handle="SIGQUIT",
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
    )
    os.environ.setdefault(*QUIET)
    if sys.platform.startswith("linux"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # whatever the name of the machine resolves to
    told = "the processes have ended without a word"
    with _quiet(), _Watch() as watch:
        if execution.stop.requested:  # before the watch began
            interrupted(execution)
            return execution.stop.exit_code
        try:
            elastic_launch(config, _work)(run.path, execution.trust, execution.lock.token, execution.judge)
        except ChildFailedError:
            told = watch.death(run)
        except Exception:
            told = traceback.format_exc()
    execution.lock.check()
    execution.status = status = Status.read(run.status_file)
    if watch.is_out_of_patience:
        status.end("interrupted", "killed at a third Ctrl-C")
        console.warn(f"killed; to go on from the last checkpoint: {typed('runner', 'resume', run.path)}")
        return EXIT_CTRL_C
    if status.state == "running" or watch.was_killed:
        status.end("failed", told.strip().rpartition("\n")[2] if "Traceback" in told else told)
        console.error(told)
    if status.state == "failed":
        return 1
    return watch.code_of_first()


def _work(run: Path, trust: Trust, token: str, judge: Judge | None) -> None:
    """What each process does."""
    os.setsid()  # a terminal's Ctrl-C is for the process that hands it on
    end_with_parent()
    make_printable()
    stop, requests = StopRequest(), _requests()
    with stop.listening(*requests):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, requests)
        place = find_place()
        assert place is not None, "the launcher says which process it is"
        code = 1
        try:
            code = take_part(RunDirectory(run), trust, stop, Meeting(place), token, judge)
        except UserError as error:  # LostLockError is one, and told by the process that holds the lock
            print(error, file=sys.stderr)
        except OSError:
            traceback.print_exc()
    if code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # at once: a library that talks to the others may wait for them at its end


class _Watch:
    """Looks after the processes that are started while the ``with`` block runs.

    It hands on to them what this process is asked by signals. It notes the first death, and kills the others when they
    have not left some time after it. It works in a thread of its own, because torch's launcher waits in ways that let
    no signal handler run; the signals are blocked in the thread that starts the processes, which inherit that, so that
    what comes before they can listen waits for them.
    """

    def __init__(self) -> None:
        self.was_killed = False
        """Whether a process was ended by a signal that neither this one nor the launcher has sent."""
        self._others = set(multiprocessing.active_children())
        self._workers: list[BaseProcess] = []
        self._requests: list[int] = []
        self._death: tuple[int, int] | None = None
        self._died_at = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="watch", daemon=True)

    def __enter__(self) -> "_Watch":
        self._handlers = {number: signal.signal(number, _handed_on) for number in _requests()}
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread.start()
        resource_tracker.ensure_running()  # Python unblocks some of them when it starts that process
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._handlers)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def is_out_of_patience(self) -> bool:
        """Whether there were more Ctrl-C than a process should need to leave."""
        return self._requests.count(signal.SIGINT) >= _PATIENCE

    def death(self, run: RunDirectory) -> str:
        """Which process was the first to die, and of what."""
        rank, code = self._death or (0, 1)
        where = f"\n  where:    {run.log_of_rank(rank)}" if rank else ""
        if code > 0:
            return f"rank {rank} ended with exit code {code}{where}"
        name = signal.Signals(-code).name
        hint = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
        return f"rank {rank} was killed by {name}{hint}{where}"

    def code_of_first(self) -> int:
        """With which exit code the process ended that writes."""
        return (self._workers[0].exitcode or 0) if self._workers else 1

    def _go_on(self) -> None:
        while not self._over.is_set():
            if select.select([self._read], [], [], _LOOK_EVERY_S)[0]:
                for number in os.read(self._read, 64):
                    if number in self._handlers:
                        self._hand_on(number)
            self._look()

    def _look(self) -> None:
        found = set(multiprocessing.active_children()) - self._others - set(self._workers)
        for process in sorted(found, key=_place_in_line):
            self._workers.append(process)
            for number in self._requests:  # that came before it was started
                _send(process, number)
        dead = [(rank, process.exitcode) for rank, process in enumerate(self._workers) if process.exitcode]
        if self._death is None and dead:
            # One that was killed takes the others with it, and not the other way round.
            self._death = min(((rank, code) for rank, code in dead if code), key=lambda death: death[1] > 0)
            self._died_at = time.monotonic()
            self.was_killed = self._death[1] < 0
        if self._death is not None and time.monotonic() - self._died_at > _LEAVE_WITHIN_S:
            self._hand_on(signal.SIGKILL)

    def _hand_on(self, number: int) -> None:
        self._requests.append(number)
        for process in self._workers:
            _send(process, signal.SIGKILL if self.is_out_of_patience else number)


def _place_in_line(process: BaseProcess) -> int:
    """The 3 of ``SpawnProcess-3``; in a sweep, where its parent is a child itself, of ``SpawnProcess-1:3``."""
    return int(re.split("[-:]", process.name)[-1])


def _send(process: BaseProcess, number: int) -> None:
    if process.exitcode is None and process.pid is not None:
        os.kill(process.pid, number)


def _requests() -> tuple[int, ...]:
    return (*stop_signals(), signal.SIGINT)


def _handed_on(number: int, frame: FrameType | None) -> None:
    """The handler of a signal that the watch hands on."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the launcher's talk about itself; how processes ended is told in the run's own log."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
