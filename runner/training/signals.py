"""Stopping on request: a signal sets a flag, and the loop looks at the flag at a step boundary."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL in sysexits.h: try again later
EXIT_CTRL_C = 130


class StopNow(BaseException):
    """A stop was requested while there is nothing to save. No Exception: nobody shall take it for a fault."""


class StopRequest:
    """Whether this process was asked to stop, and by which signal."""

    __slots__ = ("_nothing_to_save", "requested", "signal")

    def __init__(self) -> None:
        self.requested = False
        self.signal: int | None = None
        self._nothing_to_save = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. A second Ctrl-C does not wait for the step to end."""
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
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
        before = {number: signal.signal(number, self) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


SCHEDULER_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What batch systems send before they kill. Commands listen from their start: a signal that comes while torch is being
imported stops the run before it begins. Ctrl-C ends a command at once until there is something to save."""
