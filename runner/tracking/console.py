"""What a person sees while a run trains, and the same lines in its ``train.log``."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from runner.streams import can_be_drawn_on, leave
from runner.tracking.activity import Activity
from runner.tracking.formatting import duration, number, table

if TYPE_CHECKING:
    from runner.tracking.live_bar import LiveBar

_BAR_EVERY_S = 0.5  # drawing it takes a millisecond and more: ten times a second, it cost 1 to 5 % of a training
_BAR_AFTER_S = 0.5  # what is done by then needs no bar, and rich (0.1 s to import) is not in the way of the first step
_LINE_EVERY_S = 30.0
_HEADER_EVERY = 20  # rows

_BOLD, _RED, _GREEN, _YELLOW = "1", "31", "32", "33"  # what ANSI calls them


@dataclass(frozen=True, slots=True)
class EpochRow:
    """What an epoch came to.

    Args:
        epoch: Which one, counted from 1.
        epochs: Of how many, if that is known.
        metrics: Values by split and metric: ``{"train": {"loss": 0.31}, "val": {"loss": 0.28, "accuracy": 0.93}}``.
        seconds: How long it took.
        best: Whether it is the best one so far.
    """

    epoch: int
    epochs: int | None
    metrics: Mapping[str, Mapping[str, float]]
    seconds: float
    best: bool = False


class Console:
    """Lines about a run: on a terminal with colours and a live progress bar, elsewhere plain.

    Elsewhere (a pipe, a Slurm log, CI), and only there, what takes long also gets a line every half minute. A stream
    that goes away, as a closed terminal does, is not written to any more: it does not end a run.

    Args:
        stream: Where to; the standard output when None.
        fancy: Whether to draw and, unless ``NO_COLOR`` is set, to colour; when None, as the stream is a terminal.
        log_file: A file to which every line goes too, with the time and without colours or bar.
        clock: Seconds that only go forward.
        errors: Where it is said why a run failed; the standard error when None.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        fancy: bool | None = None,
        log_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        errors: TextIO | None = None,
    ) -> None:
        self._stream: TextIO | None = stream or sys.stdout
        self._errors = errors or sys.stderr
        self._fancy = can_be_drawn_on(self._stream) if fancy is None else fancy
        self._colours = self._fancy and not os.environ.get("NO_COLOR")
        self._log_file = log_file
        self._clock = clock
        self._activity: Activity | None = None
        self._due = float("inf")  # when the bar or the next line about the activity is to be shown
        self._bar: LiveBar | None = None
        self._header: list[str] = []
        self._rows_since_header = 0

    def note(self, text: str) -> None:
        """A line, or several, that stays."""
        self._write(text.splitlines() or [""])

    def warn(self, text: str) -> None:
        """A line that stays and that should be noticed."""
        first, *others = f"warning: {text}".splitlines()
        self._write([first, *others], _YELLOW)

    def error(self, text: str) -> None:
        """Lines that say why a run failed: shown even if the log cannot be written, which may be why."""
        self._end()
        lines = text.splitlines()
        try:
            self._log(lines)
        except OSError:
            self._log_file = None
        if can_be_drawn_on(self._errors) and not os.environ.get("NO_COLOR"):
            lines = _coloured(lines, _RED)
        try:
            print("\n".join(lines), file=self._errors, flush=True)
        except OSError:
            leave(self._errors)

    def start_epoch(self, epoch: int, epochs: int | None, num_batches: int | None, done: int = 0) -> None:
        """From now on ``step`` counts the batches of this epoch, of which ``done`` were trained before a resume."""
        self._begin(Activity(f"epoch {_count(epoch, epochs)}", num_batches, self._clock(), done))

    def step(self, done: int) -> None:
        """``done`` batches of the epoch are trained, those before a resume included.

        Costs 0.1 µs while nothing is to be shown.
        """
        if self._clock() >= self._due:
            self._show(done)

    def note_loss(self, loss: float) -> None:
        """The newest loss that is known, shown with the epoch that is trained until the next one is."""
        if self._activity is not None:
            self._activity.loss = loss

    def end_epoch(self, row: EpochRow) -> None:
        """One line with what the epoch came to, under a header that comes back every 20 lines."""
        self._end()
        names = [(split, metric) for split, metrics in row.metrics.items() for metric in metrics]
        header = ["epoch", *(f"{split} {metric}" for split, metric in names), "time"]
        cells = [
            _count(row.epoch, row.epochs),
            *(number(row.metrics[split][metric]) for split, metric in names),
            duration(row.seconds),
        ]
        if header != self._header or self._rows_since_header == _HEADER_EVERY:
            self._header, self._rows_since_header = header, 0
            self._write([_epoch_line(header, header)], _BOLD)
        self._rows_since_header += 1
        line = _epoch_line(cells, header)
        self._write([f"{line}  best" if row.best else line], _GREEN if row.best else None)

    @contextlib.contextmanager
    def progress(self, description: str, total: int | None = None) -> Iterator[Callable[[int, int | None], None]]:
        """While the context lasts, show how far something has come; yields what is to be called with (done, total).

        Within an epoch, its bar comes back afterwards.
        """
        outer, outer_due = self._activity, self._due
        inner = Activity(description, total, self._clock())
        self._begin(inner)

        def report(done: int, total: int | None) -> None:
            inner.total = total
            if self._clock() >= self._due:
                self._show(done)

        try:
            yield report
        finally:
            self._end()
            self._activity, self._due = outer, outer_due

    def summary(
        self, title: str, rows: Mapping[str, Mapping[str, float]], footer: Sequence[tuple[str, str]] = ()
    ) -> None:
        """The table at the end of a run.

        Args:
            title: What was done.
            rows: Values by split and metric, a line for each split.
            footer: Labels and texts below it, such as the run directory and what to type next.
        """
        self._end()
        metrics = list(dict.fromkeys(metric for values in rows.values() for metric in values))
        body = [
            [split, *(number(values[m]) if m in values else "-" for m in metrics)] for split, values in rows.items()
        ]
        header, *lines = table(["", *metrics], body)
        self._write(["", title, ""], _BOLD)
        self._write([header], _BOLD)
        self._write(lines)
        width = max((len(label) for label, _ in footer), default=0)
        self._write(["", *(f"{label:<{width}}  {text}" for label, text in footer)])

    def close(self) -> None:
        """Take the bar away and give the terminal back as it was."""
        self._end()

    def _begin(self, activity: Activity) -> None:
        self._end()
        self._activity = activity
        self._due = self._clock() + (_BAR_AFTER_S if self._fancy else _LINE_EVERY_S)

    def _end(self) -> None:
        self._activity, self._due = None, float("inf")
        self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            with contextlib.suppress(OSError):  # whether the stream is still there, the next line finds out
                bar.close()

    def _show(self, done: int) -> None:
        activity = self._activity
        assert activity is not None, "nothing is due unless something is under way"
        now = self._clock()
        activity.advance(done, now)
        if self._fancy:
            self._due = now + _BAR_EVERY_S
            self._draw(lambda stream: self._show_bar(stream, activity))
        else:
            self._due = now + _LINE_EVERY_S
            self._write(["  ".join([activity.description, activity.counted(), *activity.details()])])

    def _show_bar(self, stream: TextIO, activity: Activity) -> None:
        from runner.tracking.live_bar import LiveBar

        if self._bar is None:
            self._bar = LiveBar(stream)
        self._bar.show(activity)

    def _write(self, lines: Sequence[str], style: str | None = None) -> None:
        self._log(lines)
        if style is not None and self._colours:
            lines = _coloured(lines, style)
        self._draw(lambda stream: self._print(stream, "\n".join(lines)))

    def _log(self, lines: Sequence[str]) -> None:
        if self._log_file is not None:
            stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
            with self._log_file.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(f"{stamp}  {line}".rstrip() + "\n" for line in lines)

    def _print(self, stream: TextIO, text: str) -> None:
        if self._bar is None:
            print(text, file=stream, flush=True)
        else:
            self._bar.print_above(text)

    def _draw(self, draw: Callable[[TextIO], None]) -> None:
        """Write to the stream, or find that there is nobody any more who could read it."""
        if self._stream is not None:
            try:
                draw(self._stream)
            except OSError:
                leave(self._stream)
                self._stream = None
                self._end_bar()


def _coloured(lines: Sequence[str], style: str) -> list[str]:
    return [f"\x1b[{style}m{line}\x1b[0m" if line else line for line in lines]


def _count(epoch: int, epochs: int | None) -> str:
    return f"{epoch}" if epochs is None else f"{epoch:>{len(str(epochs))}}/{epochs}"


def _epoch_line(cells: Sequence[str], header: Sequence[str]) -> str:
    """Columns of fixed width, so that lines written at different times stand below each other."""
    first, *values, seconds = cells
    widths = [max(len(name), 9) for name in header[1:-1]]
    return "  ".join([f"{first:<7}", *(f"{v:>{w}}" for v, w in zip(values, widths, strict=True)), f"{seconds:>10}"])
