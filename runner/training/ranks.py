"""Being one of the processes that train together: when one leaves, all leave, and it is told why."""

import faulthandler
import os
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.parallel.group import Group, formed, gone
from runner.parallel.meeting import Departure, Meeting
from runner.runs.status import now
from runner.training.devices import choose
from runner.training.signals import StopNow, StopRequest

_WORD_WITHIN_S = 0.5
"""How long to look for why a connection is gone. A process says so before it goes; one that was killed does not."""


class RankFailedError(Exception):
    """Another process of the run has failed.

    Args:
        error: Why, in a line.
        told: The same for a person.
        is_silent: Whether it went without a word: it was killed, or its machine failed.
    """

    def __init__(self, error: str, told: str, is_silent: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.told = told
        self.is_silent = is_silent


@contextmanager
def together(meeting: Meeting, config: Mapping[str, Any], stop: StopRequest) -> Iterator[Group]:
    """The group of all processes, while they train.

    What ends one of them ends all. One that ends because another did raises what that one has raised.

    Args:
        meeting: Where they find each other.
        config: Of the run.
        stop: What this process is asked; it takes over what another one was.

    Raises:
        StopNow: If another process was asked to stop where there was nothing to save.
        RankFailedError: If another process has failed.
    """
    on_gpu = choose(config["device"]["kind"], config["device"]["precision"]).device.type == "cuda"
    try:
        with formed(meeting, on_gpu) as group:
            try:
                yield group
            except BaseException as error:
                cause = _cause(error, meeting, stop)
                if cause is error:
                    raise
                raise cause from error
    except StopNow:
        if stop.is_agreed:
            meeting.finish()  # else at once: the end of this process is what ends the waiting of the others
        raise
    meeting.finish()


def _cause(error: BaseException, meeting: Meeting, stop: StopRequest) -> BaseException:
    """Why this process really leaves; the others are told if it is for a reason of its own."""
    is_consequence = gone(error) is not None
    other = meeting.departure(_WORD_WITHIN_S if is_consequence else 0.0)
    if other is not None and (is_consequence or isinstance(error, StopNow)):
        return _same(other, stop)
    if is_consequence:
        text = f"another process of the run is gone: {gone(error)}"
        return RankFailedError(text, text, is_silent=True)
    rank = meeting.place.rank
    if isinstance(error, StopNow) and stop.is_agreed:
        return error
    if isinstance(error, StopNow):
        meeting.depart(Departure(rank, "stopped", stop.signal))
    elif isinstance(error, KeyboardInterrupt):
        meeting.depart(Departure(rank, "left", stop.signal))
    elif isinstance(error, UserError):
        meeting.depart(Departure(rank, "failed", error=f"rank {rank}: {error}", told=f"rank {rank}: {error}"))
    else:
        told = f"rank {rank} failed:\n{''.join(traceback.format_exception(error))}"
        meeting.depart(Departure(rank, "failed", error=f"rank {rank}: {_last_line(error)}", told=told))
    return error


def _same(other: Departure, stop: StopRequest) -> BaseException:
    if other.kind == "failed":
        return RankFailedError(other.error, other.told)
    stop.requested, stop.signal = True, other.signal
    return StopNow() if other.kind == "stopped" else KeyboardInterrupt()


def _last_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def write_to(log: Path) -> None:
    """Let all that this process prints from now on, and what a crash of it prints, go into a file, at its end."""
    log.parent.mkdir(exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    faulthandler.enable()
    print(f"--- {now()}, process {os.getpid()} on {socket.gethostname()}")
