"""Stopping on request: a signal sets a flag, and the loop looks at the flag at a step boundary."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL in sysexits.h: try again later
EXIT_CTRL_C = 130


class StopRequest:
    """Whether this process was asked to stop, and by which signal."""

    __slots__ = ("requested", "signal")

    def __init__(self) -> None:
        self.requested = False
        self.signal: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. A second Ctrl-C does not wait for the step to end."""
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested, self.signal = True, number

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 75 otherwise."""
        return EXIT_CTRL_C if self.signal == signal.SIGINT else EXIT_INTERRUPTED

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
imported stops the run after its first step. Ctrl-C ends a command at once until there is something to save."""
