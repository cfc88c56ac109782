"""Stopping on request: a signal sets a flag, and the loop looks at the flag at a step boundary."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL in sysexits.h: try again later
EXIT_CTRL_C = 130


class StopNow(BaseException):
    """A stop was requested while there is nothing to save. No Exception: nobody shall take it for a fault."""


class Stop(Protocol):
    """What the loop looks at."""

    @property
    def requested(self) -> bool:
        """Whether to stop. Looked at once a step, and once a batch of an evaluation."""
        ...


class StopRequest:
    """Whether this process was asked to stop, and by which signal."""

    __slots__ = ("_nothing_to_save", "is_agreed", "requested", "signal")

    def __init__(self) -> None:
        self.requested = False
        self.signal: int | None = None
        self.is_agreed = False
        """Whether all processes of the run know of it, and stop at the same step."""
        self._nothing_to_save = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. A second Ctrl-C does not wait for the step to end."""
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.requested:
            self.requested, self.signal = True, number
        if self._nothing_to_save:
            self._nothing_to_save = False  # another request does not disturb the leaving
            raise StopNow

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 75 otherwise."""
        return EXIT_CTRL_C if self.signal == signal.SIGINT else EXIT_INTERRUPTED

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While the block runs there is nothing to save, so that a request ends it wherever it stands.

        Raises:
            StopNow: When a stop is requested, or was before.
        """
        self._nothing_to_save = True
        try:
            if self.requested:
                raise StopNow
            yield
        finally:
            self._nothing_to_save = False

    @contextmanager
    def listening(self, *numbers: int) -> Iterator[None]:
        """Be the handler of these signals while the block runs."""
        with handling(self, *numbers):
            yield


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """Have a handler for these signals while the block runs."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)


class SharedStop:
    """A stop that the processes of a run agree on: whichever of them is asked, all stop at the same step.

    Args:
        own: What this process is asked.
        vote: Of all processes, on the number of the signal.
    """

    def __init__(self, own: StopRequest, vote: Callable[[int], int]) -> None:
        self._own = own
        self._vote = vote

    @property
    def requested(self) -> bool:
        """Whether any was asked, at the last look. Looked at by all of them equally often."""
        own = self._own
        if not own.is_agreed:
            number = self._vote(own.signal or 0)
            if number:
                own.requested, own.signal, own.is_agreed = True, number, True
        return own.is_agreed


def stop_signals() -> tuple[int, ...]:
    """What batch systems send before they kill, and a terminal when it is closed, unless ``nohup`` has that ignored.

    Commands listen from their start: a signal that comes while torch is being imported stops the run before it begins.
    Ctrl-C ends a command at once until there is something to save.
    """
    hangs_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGUSR1, *hangs_up)
