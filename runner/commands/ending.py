"""How a command that leaves nothing behind is ended from outside."""

import signal
from contextlib import AbstractContextManager
from types import FrameType

from runner.training.signals import handling


def ended_by_signals() -> AbstractContextManager[None]:
    """SIGTERM and the end of the terminal are taken as Ctrl-C; what is ignored, as under ``nohup``, stays so."""
    taken = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    return handling(_interrupt, *taken)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
