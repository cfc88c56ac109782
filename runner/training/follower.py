"""What a process does for the records that another one writes."""

from pathlib import Path

from torch import Tensor

from runner.training.due_saves import DueSaves
from runner.training.parts import Parts
from runner.training.progress import Plan, Progress
from runner.training.records import of_processes
from runner.training.scores import Scores


class Follower:
    """Goes through the same points as the one that writes, and writes nothing."""

    def __init__(self, parts: Parts, plan: Plan, checkpoints: Path) -> None:
        self.parts = parts
        self.plan = plan
        self._checkpoints = checkpoints
        self._due = DueSaves(plan, parts)

    def start_epoch(self, progress: Progress) -> None:
        return None

    def stepped(self, progress: Progress) -> None:
        return None

    def log(self, progress: Progress, scores: Scores, lr: float, grad_norm: Tensor | None) -> None:
        scores.loss.mark()

    def end_epoch(self, progress: Progress, is_best: bool) -> None:
        return None

    def save_is_due(self, progress: Progress) -> bool:
        return self._due.at(progress.step)

    def save(self, progress: Progress, scores: Scores, planned: bool = True) -> None:
        self.parts.team.save(self.parts.state_dict(), self._checkpoints, progress.step)
        scores.state_dict()
        of_processes(self.parts, scores)
        self._due.restart()

    def is_hopeless(self, progress: Progress) -> bool:
        if not progress.has_ended_epoch:
            return False
        assert self.parts.group is not None
        return self.parts.group.of(0, False)
