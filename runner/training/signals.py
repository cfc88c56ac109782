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
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch SIGTERM, SIGUSR1 (Slurm's warning) and Ctrl-C while the block runs."""
    stop = StopRequest()
    caught = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in caught}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
