"""Commands that several processes are started with at once, by ``torchrun`` or ``srun``: the first one does them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import UserError
from runner.parallel.place import QUIET, find_place

if TYPE_CHECKING:
    from runner.parallel.meeting import Meeting


def as_one(do: Callable[["Meeting | None"], int]) -> int:
    """Do what was typed, once, however many processes were started with it; give the exit code.

    The others wait until the first one executes a run, and train with it; or they leave as it does.

    Args:
        do: Does it; told where the others are met, if there are any.
    """
    place = find_place()
    if place is None or place.world_size == 1:
        return do(None)
    os.environ.setdefault(*QUIET)
    from runner.parallel.meeting import Meeting

    meeting = Meeting(place)
    return _first(do, meeting) if meeting.is_first else _other(meeting)


def require_one(meeting: "Meeting | None", what: str) -> None:
    """Refuse what one process has to begin.

    Raises:
        UserError: If several were started together.
    """
    if meeting is not None:
        place = meeting.place
        raise UserError(
            f"{place.starter} has started {place.world_size} processes, and {what} is begun by one",
            expected="one process: it starts those of each run, as device.processes says",
        )


def _first(do: Callable[["Meeting | None"], int], meeting: "Meeting") -> int:
    code = 1
    try:
        code = do(meeting)
    except UserError:
        code = 2
        raise
    except KeyboardInterrupt:
        code = 130
        raise
    finally:
        _ignore_requests()
        meeting.dismiss(code)
    return code


def _other(meeting: "Meeting") -> int:
    word = meeting.word()
    if "code" in word:
        return int(word["code"])
    from runner.runs.directory import RunDirectory
    from runner.training.execute import take_part
    from runner.training.signals import StopRequest
    from runner.trust import Trust

    code = take_part(RunDirectory(Path(word["run"])), Trust.of_record(word["trust"]), StopRequest(), meeting)
    _ignore_requests()
    return code


def _ignore_requests() -> None:
    """Let this process leave with its own exit code: when one of several has left with one, others are told to end."""
    from runner.training.signals import stop_signals

    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)
