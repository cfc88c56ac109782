"""All that a run writes about itself, so that a checkpoint can hold where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.tracking.console import Console
from runner.tracking.metrics_csv import MetricsCsv
from runner.tracking.tensorboard import TensorBoard


@dataclass(frozen=True, slots=True)
class Tracker:
    """The three records of a run.

    Args:
        console: The terminal and the log.
        csv: The metrics.
        board: Curves and pictures. It goes back with the others even where it is switched off: it may have been on
            before, and may be again.
        is_board_on: Whether anything is written to it.
    """

    console: Console
    csv: MetricsCsv
    board: TensorBoard
    is_board_on: bool

    @property
    def tensorboard(self) -> TensorBoard | None:
        """Where curves and pictures are written; None where that is switched off."""
        return self.board if self.is_board_on else None

    def scalars(self, values: Mapping[str, float], step: int, at: float | None = None) -> None:
        """A point of every named curve, as ``TensorBoard.scalars`` writes it, where that is switched on."""
        if self.tensorboard is not None:
            self.tensorboard.scalars(values, step, at)

    def position(self) -> dict[str, Any]:
        """Where the records stand, in plain values for a checkpoint."""
        return {"rows": self.csv.position(), "events": self.board.position()}

    def rewind(self, position: Mapping[str, Any] | None) -> None:
        """Go back to where the records stood at a checkpoint, so that nothing is written twice; None: to the start."""
        rows, events = (0, {}) if position is None else (position["rows"], position["events"])
        found = self.csv.rewind(rows)
        if found < rows:
            self.console.warn(f"metrics.csv has lost rows: the checkpoint counted {rows}, {found} are left")
        self.board.rewind(events)

    def close(self) -> None:
        """Close the event file and take the progress bar away."""
        self.board.close()
        self.console.close()
