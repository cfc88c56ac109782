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
        self._check = check
        self._snapshot = Snapshot()
        self._thread: threading.Thread | None = None
        self._written = threading.Event()
        self._error: BaseException | None = None

    def save(
        self, state: dict[str, Any], planned: Planned | None, vet: Callable[[dict[str, Any]], None] = lambda state: None
    ) -> None:
        """Copy a state and have it written; waits for the write before it, if that is still under way.

        Args:
            state: What to save.
            planned: Where in the plan it stands; None for a save on request.
            vet: Looks at the copy before it is written; what it raises prevents that, and counts as a failed write.

        Raises:
            OSError: If the write before it failed.
        """
        self.wait()
        self._check()
        copied = self._snapshot.take(state)
        # Not a daemon: the interpreter does not end in the middle of a write.
        self._written.clear()
        self._thread = threading.Thread(target=self._write, args=(copied, planned, vet), name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Return when everything is on the disk.

        Raises:
            OSError: If the write failed.
        """
        self._wait_for_thread()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, state: dict[str, Any], planned: Planned | None, vet: Callable[[dict[str, Any]], None]) -> None:
        try:
            vet(state)
            self.store.save(state, planned, self._check)
        except BaseException as error:
            self._error = error
        finally:
            self._written.set()

    def _wait_for_thread(self) -> None:
        if self._thread is not None:
            # Not by join(): one that Ctrl-C breaks off takes the thread for ended (CPython before 3.13).
            while not self._written.wait(1.0) and self._thread.is_alive():
                pass
            self._thread = None

    def __enter__(self) -> "BackgroundSaver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.wait()
        else:
            self._wait_for_thread()  # the error that ends the run is the one to tell
