"""Where a run stands: one small JSON file that is replaced as a whole."""

import json
import math
import os
import socket
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from runner.errors import UserError
from runner.runs.direction import Direction
from runner.runs.files import write_json
from runner.typed import typed

State = Literal["created", "running", "completed", "failed", "interrupted", "pruned"]

OVER = ("completed", "pruned")
"""States of a run that has nothing left to train."""
ENDED = (*OVER, "failed")
"""States of a run that has come to its end."""


def now() -> str:
    """The present time in ISO 8601 with the offset from UTC, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


@dataclass(slots=True)
class Status:
    """What ``status.json`` holds."""

    state: State = "created"
    epoch: int = 0
    """Epochs completed."""
    epochs: int | None = None
    """Epochs planned."""
    step: int = 0
    """Optimizer updates done."""
    monitor: str | None = None
    """Name of the metric that decides which checkpoint is the best."""
    direction: Direction | None = None
    """Whether more or less of it is better."""
    best: float | None = None
    best_epoch: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """The figures of the last epoch, and those of the test split once it is evaluated."""
    error: str | None = None
    host: str | None = None
    pid: int | None = None
    created: str = field(default_factory=now)
    started: str | None = None
    """Start of the first execution."""
    ended: str | None = None
    seconds: float = 0.0
    """Time spent executing, over all executions."""
    epoch_seconds: float = 0.0
    """Of that, the time that the running epoch had taken when it was last saved; 0 between two epochs."""
    executions: int = 0
    """How often the directory was executed: 1, and one more for each resume."""

    def begin(self) -> None:
        """Note that this process executes the run from now on."""
        self.state, self.error, self.ended = "running", None, None
        self.host, self.pid = socket.gethostname(), os.getpid()
        self.started = self.started or now()
        self.executions += 1

    def end(self, state: State, error: str | None = None) -> None:
        """Note how this execution ended."""
        self.state, self.error, self.ended = state, error, now()

    def write(self, path: Path, durable: bool = True) -> None:
        """Replace the file; ``durable`` as for ``write_atomic``."""
        write_json(path, asdict(self), durable)

    @classmethod
    def read(cls, path: Path) -> "Status":
        """Read what ``write`` wrote.

        Raises:
            UserError: If that is not what the file holds, or it is gone.
        """
        try:
            status = cls(**json.loads(path.read_text()))
            status.metrics = {name: math.nan if value is None else value for name, value in status.metrics.items()}
            status._require_types()
        except (FileNotFoundError, ValueError, TypeError, AttributeError) as error:
            problem = "is not there" if isinstance(error, FileNotFoundError) else "is damaged"
            again = typed("runner", "resume", path.parent)
            raise UserError(
                f"{path} {problem}: the state of the run is not known",
                fix=f"{again}, which goes on from its checkpoints and writes the file anew",
            ) from error
        return status

    def _require_types(self) -> None:
        """Refuse what nobody could put in order or compare: one damaged file would keep all others from being listed.

        Raises:
            TypeError: If a number or a text is something else.
        """
        figures = (self.epochs, self.best, self.best_epoch)
        numbers = [self.epoch, self.step, self.seconds, self.epoch_seconds, self.executions, *self.metrics.values()]
        numbers += [figure for figure in figures if figure is not None]
        noted = (self.monitor, self.direction, self.error, self.host, self.started, self.ended)
        texts = [self.state, self.created, *(text for text in noted if text is not None)]
        if not all(isinstance(one, int | float) for one in numbers) or not all(isinstance(one, str) for one in texts):
            raise TypeError("a number or a text is something else")
