"""Processes side by side in a number of slots, forked from a server that has torch imported already.

The server is Python's own (``multiprocessing``, start method ``forkserver``): it is started once, imports
``runner.launch.preload`` and forks a process for each job, which takes hundredths of a second where importing torch
takes seconds. It has computed nothing and has no threads, so that a fork of it is a clean start.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol, TypeVar

from runner.launch import child
from runner.launch.child import GRACE_S, Surroundings
from runner.training.signals import StopRequest

_LOOK_EVERY_S = 0.25
_SERVER_IS_GONE = 255  # what Python gives for the exit code of a process then, although the process may go on
_PRELOADED = "runner.launch.preload"
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([_PRELOADED])

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to do.

    Args:
        target: A function of a module, that gives an exit code.
        args: What it is called with; pickled.
        output: The file that gets what the process prints; None: it prints where the pool's own process does.
    """

    target: Callable[..., int]
    args: tuple[Any, ...]
    output: Path | None = None


class Work(Protocol):
    """Where the jobs come from."""

    def take(self) -> Job | None:
        """The next job; None where there is none to start, now or ever. Asked again when a job has ended."""

    def ended(self, job: Job, exit_code: int) -> None:
        """Told the exit code of a job; a negative one is the signal that killed the process."""

    def look(self) -> None:
        """Called some times a second, to show how far everything is."""


def warm_up(*modules: str) -> None:
    """Let the server begin to import, these modules too: what comes meanwhile costs no time."""
    _server.set_forkserver_preload([_PRELOADED, *modules])
    resource_tracker.ensure_running()  # which unblocks signals where it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:  # a Ctrl-C is for this process alone: the server, which inherits this, would end its import with a traceback
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ask(function: Callable[..., T], *args: Any) -> T:
    """What a function of a module gives in a process of its own: what it touches there, such as a GPU, is let go again.

    Raises:
        Exception: What the function raises.
    """
    mine, its = _server.Pipe(duplex=False)
    process = _server.Process(target=_answer, args=(its, function, args))
    process.start()
    its.close()
    try:
        is_answer, found = mine.recv()
    except EOFError:
        raise RuntimeError(f"the process that was asked for {function.__name__} died") from None
    finally:
        process.join()
    if not is_answer:
        raise found
    answer: T = found
    return answer


def _answer(to: connection.Connection, function: Callable[..., object], args: tuple[Any, ...]) -> None:
    try:
        to.send((True, function(*args)))
    except Exception as error:
        to.send((False, error))


def run(work: Work, slots: Sequence[Mapping[str, str]], stop: StopRequest) -> None:
    """Work off the jobs; return when there are none left, or a stop was requested and all processes have ended.

    Args:
        work: The jobs.
        slots: For each process at a time, the variables of the environment that are its own.
        stop: Whoever asks for a stop has every process asked to save and end, and some seconds later ended.
    """
    pool = _Pool(work, slots)
    try:
        while not stop.requested:
            pool.start()
            if not pool.running:
                return
            pool.wait()
        pool.stop(signal.SIGTERM, GRACE_S)
    finally:
        pool.stop(signal.SIGKILL, GRACE_S)  # nothing outlives what started it


@dataclass(frozen=True, slots=True)
class _Running:
    """A process in a slot."""

    slot: int
    job: Job
    process: BaseProcess

    def send(self, number: int) -> None:
        """Send it a signal; what kills it kills the processes that it started too, which are of its session."""
        assert self.process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                with contextlib.suppress(ProcessLookupError):  # one that has just been forked has no session yet
                    os.killpg(self.process.pid, number)
            os.kill(self.process.pid, number)


class _Pool:
    """The slots, and what runs in them."""

    def __init__(self, work: Work, slots: Sequence[Mapping[str, str]]) -> None:
        self._work = work
        self._slots = slots
        self.running: list[_Running] = []

    def start(self) -> None:
        """Fill the free slots."""
        for slot, variables in enumerate(self._slots):
            if slot in {one.slot for one in self.running}:
                continue
            job = self._work.take()
            if job is None:
                return
            surroundings = Surroundings(Path.cwd(), {**os.environ, **variables}, job.output)
            process = _server.Process(target=child.run, args=(surroundings, job.target, job.args))
            process.start()
            self.running.append(_Running(slot, job, process))

    def wait(self) -> None:
        """Return when a process has ended, or a moment has passed."""
        connection.wait([one.process.sentinel for one in self.running], _LOOK_EVERY_S)
        for one in list(self.running):
            code = one.process.exitcode
            if code is not None:
                if code == _SERVER_IS_GONE:
                    one.send(signal.SIGKILL)
                self.running.remove(one)
                self._work.ended(one.job, code)
        self._work.look()

    def stop(self, number: int, patience_s: float) -> None:
        """Send all processes a signal, and wait for their end."""
        for one in self.running:
            one.send(number)
        until = time.monotonic() + patience_s
        while self.running and time.monotonic() < until:
            self.wait()
