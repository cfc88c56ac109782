"""The progress bar on a terminal: the only part that needs rich."""

import sys
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.tracking.activity import Activity


class LiveBar:
    """One line at the bottom of a terminal that is drawn anew by every ``show``; no thread draws it in between.

    While it stands, what others print to the standard output appears above it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = _Terminal(file=stream, force_terminal=True)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # what goes into a file is left alone
            redirect_stderr=sys.stderr.isatty(),
        )
        self._widths: list[int] = []  # of the texts; they only grow, so that the end of the bar stands still
        self._live.start()

    def show(self, activity: Activity) -> None:
        """Draw how far ``activity`` has come."""
        row = Table.grid(padding=(0, 2, 0, 0), expand=True)
        bar = ProgressBar(activity.total, activity.done, pulse=activity.total is None)
        texts = [activity.counted(), *activity.details()]
        known = [*self._widths, *[0] * len(texts)]
        self._widths = [max(len(text), width) for text, width in zip(texts, known, strict=False)]
        row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        for width in self._widths:
            row.add_column(no_wrap=True, min_width=width, justify="right")
        row.add_row(activity.description, bar, *texts)
        self._live.update(row, refresh=True)

    def print_above(self, text: str) -> None:
        """Write lines that stay, above the bar; ANSI colours in them are kept."""
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        self._live.stop()


class _Terminal(Console):
    """A console that leaves it to the caller what follows from a broken pipe; rich's own ends the program."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that is being handled
