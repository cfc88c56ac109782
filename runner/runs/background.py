"""Saving while training goes on: the state is copied at the step boundary and written by a thread."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from runner.runs.snapshot import Snapshot
from runner.runs.store import CheckpointStore, Planned


class BackgroundSaver:
    """Writes one checkpoint at a time. Leaving the ``with`` block waits for the last one.

    A write that failed is an error of the run: it is raised by the next ``save`` or ``wait``.

    Args:
        store: Where checkpoints go.
        check: Called before each save, and before a file takes its place; what it raises prevents that.
    """

    def __init__(self, store: CheckpointStore, check: Callable[[], None] = lambda: None) -> None:
        self.store = store
        self.check = check
        self._snapshot = Snapshot()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, state: dict[str, Any], planned: Planned | None) -> None:
        """Copy a state and have it written; waits for the write before it, if that is still under way.

        Raises:
            OSError: If the write before it failed.
        """
        self.wait()
        self.check()
        copied = self._snapshot.take(state)
        # Not a daemon: the interpreter does not end in the middle of a write.
        self._thread = threading.Thread(target=self._write, args=(copied, planned), name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Return when everything is on the disk.

        Raises:
            OSError: If the write failed.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, state: dict[str, Any], planned: Planned | None) -> None:
        try:
            self.store.save(state, planned, self.check)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> "BackgroundSaver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.wait()
        elif self._thread is not None:
            self._thread.join()  # the error that ends the run is the one to tell
