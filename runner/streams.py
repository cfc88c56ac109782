"""The standard output and the standard error, whatever they were started as: light, because every command needs it."""

import contextlib
import os
import sys
from typing import TextIO


def make_printable() -> None:
    """Let printing never be what ends a command: a stream that was closed leads nowhere, as it does in a C program.

    A character that the encoding of a stream lacks is escaped instead of refused.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # the next file that is opened would get this number, and what a child prints would go into it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def can_be_drawn_on(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which lines can be drawn anew."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_lost(stream: TextIO) -> bool:
    """Whether a stream cannot be written, as an empty line shows: without a buffer, it holds nothing that could."""
    try:
        print(file=stream, flush=True)
    except OSError:
        return True
    return False


def leave(stream: TextIO) -> None:
    """Send what others print there, and what Python still flushes at its end, to nowhere: each would be an error."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
