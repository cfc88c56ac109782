"""A terminal to draw on."""

from rich.console import Console


class Terminal(Console):
    """A console that leaves it to the caller what follows from a broken pipe; rich's own ends the program."""

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles the error."""
        raise
