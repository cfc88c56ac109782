"""How far a run has come: a few plain values that a checkpoint holds and the loop moves forward."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

Results = dict[str, dict[str, float]]
"""Figures by split and metric."""


@dataclass(slots=True)
class Progress:
    """Where training stands."""

    epoch: int = 0
    """Epochs completed, validation included."""
    batch: int = 0
    """Batches of the running epoch that training has consumed."""
    step: int = 0
    """Optimizer updates done."""
    best: float | None = None
    """Best value of the monitored metric."""
    best_epoch: int = 0
    """The epoch, counted from 1, that gave it."""
    stale_epochs: int = 0
    """Epochs since the last improvement."""
    results: Results = field(default_factory=dict)
    """The figures of the last completed epoch."""

    def state_dict(self) -> dict[str, Any]:
        """The values, by name."""
        return asdict(self)

    def end_epoch(self, results: Results, monitor: "Monitor") -> bool:
        """Complete an epoch with its figures; True when it is the best so far."""
        self.epoch, self.batch, self.results = self.epoch + 1, 0, results
        score = monitor.score(results)
        if not monitor.improves(score, self.best):
            self.stale_epochs += 1
            return False
        self.best, self.best_epoch, self.stale_epochs = score, self.epoch, 0
        return True


@dataclass(frozen=True, slots=True)
class Monitor:
    """The metric that decides which checkpoint is the best.

    Args:
        metric: With its split in front, such as ``val/accuracy``.
        higher: Whether more is better.
        min_delta: The smallest change that counts as an improvement: 0 or more.
        patience: Epochs without an improvement after which training stops: 1 or more; None = never.
    """

    metric: str
    higher: bool
    min_delta: float
    patience: int | None

    def score(self, results: Results) -> float:
        """The monitored metric among the figures of an epoch."""
        split, _, name = self.metric.partition("/")
        return results[split][name]

    def improves(self, score: float, best: float | None) -> bool:
        """Whether ``score`` beats ``best``; NaN beats nothing, and any number beats no score at all."""
        if math.isnan(score):
            return False
        if best is None:
            return True
        return score > best + self.min_delta if self.higher else score < best - self.min_delta


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train and when to save: plain numbers for the loop."""

    epochs: int
    max_steps: int | None
    accumulate: int
    clip_norm: float | None
    log_every: int
    save_every_epochs: int
    save_every_steps: int | None
    save_every_minutes: float | None
    monitor: Monitor

    def fulfilled(self, progress: Progress) -> bool:
        """Whether nothing is left to train. An epoch that has begun is always brought to its end."""
        if progress.batch:
            return False
        patience = self.monitor.patience
        return (
            progress.epoch >= self.epochs
            or (self.max_steps is not None and progress.step >= self.max_steps)
            or (patience is not None and progress.stale_epochs >= patience)
        )

    def epoch_is_trained(self, progress: Progress, num_batches: int) -> bool:
        """Whether the running epoch, of so many batches, has had its last update."""
        return progress.batch >= num_batches or self.steps_left(progress) == 0

    def steps_left(self, progress: Progress) -> int | None:
        """Updates that ``max_steps`` still allows; None when it sets no limit."""
        return None if self.max_steps is None else max(self.max_steps - progress.step, 0)
