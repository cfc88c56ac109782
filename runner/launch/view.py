"""What a person sees while a sweep goes on: a live table on a terminal, a line for each run elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.rebuild import read_status
from runner.runs.status import OVER, Status
from runner.runs.sweep_directory import SweepDirectory, number_of
from runner.streams import can_be_drawn_on, leave
from runner.tracking.formatting import duration, number, short

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_DRAW_EVERY_S = 0.5
_LEAVE_LINES = 6  # of the terminal: what was printed above the table, and what is below it
_STYLES = {"running": "cyan", "completed": "green", "failed": "red", "interrupted": "yellow", "pruned": "dim"}


@dataclass(slots=True)
class Row:
    """A run, as the table shows it."""

    run: RunDirectory
    values: Mapping[str, str]
    """By key, what the run has and others have not."""
    status: Status
    began: float | None = None
    """When its process was started, on the monotonic clock; None before."""
    epoch_then: int = 0
    """Epochs that it had behind it then."""

    def seconds_left(self, now: float) -> float | None:
        """How long it will go on, judged by its epochs since then; None where nothing can be told."""
        done = self.status.epoch - self.epoch_then
        if self.status.state != "running" or self.began is None or not done or not self.status.epochs:
            return None
        return max(0.0, (now - self.began) / done * (self.status.epochs - self.epoch_then) - (now - self.began))


class SweepView:
    """The runs of a sweep on the standard output; if that goes away, as a closed terminal does, the sweep goes on.

    Args:
        planned: How many runs the sweep has.
        keys: What differs between them.
        stream: Where to; the standard output when None.
        fancy: Whether to draw a live table; when None, as the stream is a terminal.
    """

    def __init__(
        self, planned: int, keys: Sequence[str], stream: TextIO | None = None, fancy: bool | None = None
    ) -> None:
        self._stream = stream or sys.stdout
        self._fancy = can_be_drawn_on(self._stream) if fancy is None else fancy
        self._planned = planned
        self._keys = keys
        self._rows: dict[int, Row] = {}
        self._num_ended = 0
        self._live: Live | None = None
        self._due = 0.0

    @classmethod
    def of(cls, made: SweepDirectory) -> "SweepView":
        """That of a sweep, with the runs that are there already."""
        record = made.record()
        view = cls(record.planned, record.keys)
        for run in made.runs().values():
            view.add(run)
        return view

    def add(self, run: RunDirectory) -> None:
        """A run that the sweep has, which may be known already."""
        one = number_of(run.path)
        if one in self._rows:
            return
        values, status = run.values(), read_status(run)
        self._num_ended += status.state in OVER  # before this process began
        self._rows[one] = Row(run, {key: short(values.get(key, "")) for key in self._keys}, status)

    def started(self, run: RunDirectory) -> None:
        """A process executes it now."""
        row = self._rows[number_of(run.path)]
        row.began, row.epoch_then = time.monotonic(), row.status.epoch

    def ended(self, run: RunDirectory, status: Status, again: str = "") -> None:
        """Its process has ended; ``again`` says which further attempt it waits for, if it does."""
        one = number_of(run.path)
        row = self._rows[one]
        row.status, row.began = status, None
        if not again:
            self._num_ended += 1
        if not self._fancy or status.state == "failed":
            self.say(self._line(one, row, again))

    def look(self) -> None:
        """Draw the table anew, now and then."""
        now = time.monotonic()
        if not self._fancy or now < self._due:
            return
        self._due = now + _DRAW_EVERY_S
        for row in self._rows.values():
            if row.began is not None:
                with contextlib.suppress(UserError, OSError):
                    row.status = Status.read(row.run.status_file)
        self._write(lambda: self._draw(now))

    def close(self) -> None:
        """Take the live table away: what is left is for others to print."""
        if self._live is not None:
            self._write(self._live.stop)
            self._live = None

    def _line(self, one: int, row: Row, note: str) -> str:
        settings = "  ".join(f"{key}={value}" for key, value in row.values.items())
        count = f"{self._num_ended:>{len(str(self._planned))}}/{self._planned}"
        parts = [
            f"{one:04d}",
            count,
            f"{row.status.state:<11}",
            settings,
            _best(row.status),
            duration(row.status.seconds),
        ]
        error = (row.status.error or "").strip().splitlines()
        more = [f"      {error[0]}"] if error and row.status.state == "failed" else []
        return "\n".join(["  ".join(filter(None, parts)) + (f"  {note}" if note else ""), *more])

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write(lambda: self._print(text))

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError:
            leave(self._stream)
            self._fancy, self._live = False, None

    def _print(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=self._stream, flush=True)

    def _draw(self, now: float) -> None:
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        from runner.tracking.terminal import Terminal

        if self._live is None:
            console = Terminal(file=self._stream, force_terminal=True)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        shown = self._shown(self._live.console.height - _LEAVE_LINES)
        self._live.update(Group(self._table(shown, now), Text(self._caption(now))), refresh=True)

    def _table(self, shown: Sequence[int], now: float) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("run", *self._keys, "state", "epochs", "best", "left"):
            table.add_column(title, no_wrap=True, justify="left" if title in ("run", "state") else "right")
        for one in shown:
            row = self._rows[one]
            left = row.seconds_left(now)
            state = "waiting" if row.status.state == "created" and row.began is None else row.status.state
            epochs = f"{row.status.epoch}/{row.status.epochs}" if row.status.epochs else ""
            table.add_row(
                f"{one:04d}",
                *row.values.values(),
                Text(state, style=_STYLES.get(state, "")),
                epochs,
                _best(row.status),
                "" if left is None else duration(left),
            )
        return table

    def _shown(self, most: int) -> list[int]:
        """The runs for which there is room: those that run, then what ended last, then what comes next."""
        if len(self._rows) <= most:
            return sorted(self._rows)

        def importance(one: int) -> tuple[int, int]:
            row = self._rows[one]
            if row.began is not None:
                return 0, one
            return (2, one) if row.status.state == "created" else (1, -one)

        return sorted(sorted(self._rows, key=importance)[: max(most, 1)])

    def _caption(self, now: float) -> str:
        states = [row.status.state for row in self._rows.values() if row.began is None]
        running = len(self._rows) - len(states)
        counts = [f"{states.count(state)} {state}" for state in ("completed", "failed", "pruned") if state in states]
        return f"{', '.join([*counts, f'{running} running'])} of {self._planned}"


def _best(status: Status) -> str:
    return "" if status.best is None else f"{status.monitor} {number(status.best)}"
