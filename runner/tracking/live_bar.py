"""The progress bar on a terminal."""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from runner.tracking.activity import Activity
from runner.tracking.terminal import Terminal


class LiveBar:
    """One line at the bottom of a terminal that is drawn anew by every ``show``; no thread draws it in between.

    While it stands, what others print to the standard output appears above it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Terminal(file=stream, force_terminal=True)
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
        texts = [activity.counted(), *activity.details()]
        known = [*self._widths, *[0] * len(texts)]
        self._widths = [max(len(text), width) for text, width in zip(texts, known, strict=False)]
        ends = [f"  {text:>{width}}" for text, width in zip(texts, self._widths, strict=False)]
        self._live.update(_Line(f"{activity.description}  ", activity.done, activity.total, ends), refresh=True)

    def print_above(self, text: str) -> None:
        """Write lines that stay, above the bar; ANSI colours in them are kept."""
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        self._live.stop()


class _Line(NamedTuple):
    """A bar between texts, as wide as the terminal; rich's tables would take three times as long for it.

    A number that is cut would be another one: of the texts at the end, those that do not fit are left out.
    """

    begin: str
    done: int
    total: int | None
    ends: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield Segment(self.begin)
        room = options.max_width - cell_len(self.begin)
        end = ""
        for text in self.ends:
            if cell_len(end + text) > room:
                break
            end += text
        width = room - cell_len(end)
        if width > 0:
            bar = ProgressBar(self.total, self.done, width, pulse=self.total is None)
            yield from console.render(bar, options)
        yield Segment(end)
