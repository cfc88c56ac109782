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
    """Epochs since the last improvement that counts for early stopping."""
    counted: float | None = None
    """The score of that improvement."""
    results: Results = field(default_factory=dict)
    """The figures of the last completed epoch."""
    history: list[float] = field(default_factory=list)
    """The monitored metric after each epoch, its sign turned where less is better: more of it is better."""
    ranking: list[tuple[float, int]] = field(default_factory=list)
    """Score and step of the best epochs, the best first: as many as checkpoints of them are kept."""

    @property
    def has_ended_epoch(self) -> bool:
        """Whether an epoch has just been completed, and the next one has not begun."""
        return self.epoch > 0 and not self.batch

    def state_dict(self) -> dict[str, Any]:
        """The values, by name."""
        return asdict(self)

    def end_epoch(self, results: Results, monitor: "Monitor") -> bool:
        """Complete an epoch with its figures; True when it is the best so far."""
        self.epoch, self.batch, self.results = self.epoch + 1, 0, results
        score = monitor.score(results)
        self.history.append(score if monitor.higher else -score)
        self.ranking = monitor.ranked([*self.ranking, (score, self.step)])
        if monitor.improves(score, self.counted, by=monitor.min_delta):
            self.counted, self.stale_epochs = score, 0
        else:
            self.stale_epochs += 1
        if not monitor.improves(score, self.best):
            return False
        self.best, self.best_epoch = score, self.epoch
        return True


@dataclass(frozen=True, slots=True)
class Monitor:
    """The metric that decides which checkpoint is the best.

    Args:
        metric: With its split in front, such as ``val/accuracy``.
        higher: Whether more is better.
        min_delta: The smallest improvement that counts for ``patience``: 0 or more.
        patience: Epochs without such an improvement after which training stops: 1 or more; None = never.
        keep: Of how many of the best epochs a checkpoint stays: 1 or more.
    """

    metric: str
    higher: bool
    min_delta: float
    patience: int | None
    keep: int = 1

    def ranked(self, scores: list[tuple[float, int]]) -> list[tuple[float, int]]:
        """The best of some (score, step), the best first and of equals the earlier; NaN is no score."""
        numbers = [entry for entry in scores if not math.isnan(entry[0])]
        return sorted(numbers, key=lambda entry: -entry[0] if self.higher else entry[0])[: self.keep]

    def score(self, results: Results) -> float:
        """The monitored metric among the figures of an epoch."""
        split, _, name = self.metric.partition("/")
        return results[split][name]

    def improves(self, score: float, best: float | None, by: float = 0.0) -> bool:
        """Whether ``score`` beats ``best`` by more than ``by``; NaN beats nothing, any number beats no score at all."""
        if math.isnan(score):
            return False
        if best is None:
            return True
        return score > best + by if self.higher else score < best - by


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train and when to save: plain numbers for the loop."""

    epochs: int
    max_steps: int | None
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

    def save_after_epoch(self, progress: Progress) -> bool:
        """Whether the epoch that has just been completed deserves a checkpoint."""
        is_among_the_best = any(step == progress.step for _, step in progress.ranking)
        return is_among_the_best or progress.epoch % self.save_every_epochs == 0 or self.fulfilled(progress)

    def steps_left(self, progress: Progress) -> int | None:
        """Updates that ``max_steps`` still allows; None when it sets no limit."""
        return None if self.max_steps is None else max(self.max_steps - progress.step, 0)
