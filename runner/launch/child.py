"""A process of the pool, from its first instruction to its exit code."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.streams import make_printable

GRACE_S = 7.0
"""How long a process that is asked to end may take for its checkpoint before it is ended."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process of the pool finds around it.

    Args:
        folder: The current one.
        variables: Of the environment, all of them.
        output: The file that gets what is printed; None: as the pool's own process prints.
    """

    folder: Path
    variables: Mapping[str, str]
    output: Path | None


def run(surroundings: Surroundings, target: Callable[..., int], args: tuple[Any, ...]) -> None:
    """Call ``target(*args)`` and end with the exit code that it gives."""
    # A Ctrl-C on the terminal is for the pool's process alone, which tells the others.
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    os.chdir(surroundings.folder)
    os.environ.clear()
    os.environ.update(surroundings.variables)
    make_printable()
    if surroundings.output is not None:
        _print_to(surroundings.output)
    faulthandler.enable(all_threads=False)  # a crash in C leaves its traceback in the output
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    sys.exit(target(*args))


def _print_to(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.close(descriptor)


def _end_with_parent() -> None:
    """When the pool's process is gone, however it went: ask this one to save and stop, and then end it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)
