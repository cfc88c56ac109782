"""The points of a training curve, from the device to TensorBoard."""

import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

from runner.runs.lock import LostLockError
from runner.tracking.tracker import Tracker
from runner.training.coming import Coming
from runner.training.mean_loss import Interval

_WRITE_EVERY_S = 0.5
"""Time between two writes. The code that writes a point has left the processor's cache since the point before: for one
alone it takes ten times as long as for the second of two."""


class Point(NamedTuple):
    """A point of the training curve, on its way from the device."""

    step: int
    lr: float
    losses: Interval
    grad_norm: Coming | None

    def is_here(self) -> bool:
        """Whether to read it waits for nothing."""
        return self.losses.is_here() and (self.grad_norm is None or self.grad_norm.are_here())

    def read(self) -> dict[str, float]:
        """The values by the names of their curves."""
        values = {"train/loss_step": self.losses.mean(), "lr": self.lr}
        if self.grad_norm is not None:
            [values["train/grad_norm"]] = self.grad_norm.read()
        return values


class Curve:
    """Reads points as soon as the device gives them, and writes them some at a time.

    Args:
        tracker: Where to.
        clock: Seconds that only go forward.
    """

    def __init__(self, tracker: Tracker, clock: Callable[[], float] = time.monotonic) -> None:
        self._tracker = tracker
        self._clock = clock
        self._coming: Point | None = None
        self._unwritten: list[tuple[int, float, dict[str, float]]] = []  # step, time of day, values
        self._written_at = -float("inf")

    def add(self, point: Point) -> None:
        """Take a point, after the one before it has been waited for."""
        self._read()
        self._coming = point
        self.glance()

    def glance(self) -> None:
        """Read the newest point if it is here; write those that were read, if that is due."""
        if self._coming is not None and self._coming.is_here():
            self._read()
            if self._clock() - self._written_at >= _WRITE_EVERY_S:
                self._write()

    def flush(self) -> None:
        """Write every point. Waits for the device.

        Raises:
            UserError: If the loss of an update is not finite.
        """
        self._read()
        self._write()

    def close(self) -> None:
        """Write what was read before something went wrong, as far as it can be."""
        with contextlib.suppress(LostLockError, OSError):
            self._write()

    def _read(self) -> None:
        if self._coming is None:
            return
        values = self._coming.read()
        self._unwritten.append((self._coming.step, time.time(), values))
        self._tracker.console.note_loss(values["train/loss_step"])
        self._coming = None

    def _write(self) -> None:
        points, self._unwritten = self._unwritten, []
        for step, at, values in points:
            self._tracker.scalars(values, step, at)
        self._written_at = self._clock()
