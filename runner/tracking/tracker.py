"""All that a run writes about itself, so that a checkpoint can hold where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.tracking.console import Console
from runner.tracking.metrics_csv import MetricsCsv
from runner.tracking.tensorboard import TensorBoard


@dataclass(frozen=True, slots=True)
class Tracker:
    """The three records of a run; ``tensorboard`` is None where it is switched off."""

    console: Console
    csv: MetricsCsv
    tensorboard: TensorBoard | None

    def scalars(self, values: Mapping[str, float], step: int, at: float | None = None) -> None:
        """A point of every named curve, as ``TensorBoard.scalars`` writes it, where that is switched on."""
        if self.tensorboard is not None:
            self.tensorboard.scalars(values, step, at)

    def position(self) -> dict[str, Any]:
        """Where the records stand, in plain values for a checkpoint."""
        events = {} if self.tensorboard is None else self.tensorboard.position()
        return {"rows": self.csv.position(), "events": events}

    def rewind(self, position: Mapping[str, Any] | None) -> None:
        """Go back to where the records stood at a checkpoint, so that nothing is written twice; None: to the start."""
        rows, events = (0, {}) if position is None else (position["rows"], position["events"])
        found = self.csv.rewind(rows)
        if found < rows:
            self.console.warn(f"metrics.csv has lost rows: the checkpoint counted {rows}, {found} are left")
        if self.tensorboard is not None:
            self.tensorboard.rewind(events)

    def close(self) -> None:
        """Close the event file and take the progress bar away."""
        if self.tensorboard is not None:
            self.tensorboard.close()
        self.console.close()
