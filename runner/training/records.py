"""What the loop tells of itself, and whom: one process writes it down, the others do as much as takes all of them."""

from typing import Any, Protocol

from torch import Tensor

from runner.training.parts import Parts
from runner.training.progress import Progress
from runner.training.randomness import generator_states
from runner.training.scores import Scores


class Judge(Protocol):
    """Decides after every epoch whether a run goes on: in a study, the others are what it is judged by."""

    metric: str
    """What is judged, such as ``val/accuracy``; ``monitor``: the run's own."""

    def is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        """Whether to end the run, after so many epochs of those planned, with this value of the metric."""
        ...


class Records(Protocol):
    """The loop's only way to the disk and the terminal; each method is one line of the loop."""

    def start_epoch(self, progress: Progress) -> None:
        """Announce the epoch, from the batch where it goes on."""

    def stepped(self, progress: Progress) -> None:
        """Note that an update is done."""

    def log(self, progress: Progress, scores: Scores, lr: float, grad_norm: Tensor | None) -> None:
        """A point of the training curve: the mean loss since the last point, written as soon as the device gives it."""

    def end_epoch(self, progress: Progress, is_best: bool) -> None:
        """The row of an epoch, and the pictures that are due."""

    def save_is_due(self, progress: Progress) -> bool:
        """Whether the plan wants a checkpoint within the epoch. Asked once a step."""

    def save(self, progress: Progress, scores: Scores, planned: bool = True) -> None:
        """Save all that a bit-exact continuation needs.

        Args:
            progress: Where training stands.
            scores: Those of the running epoch.
            planned: Whether the plan wants this checkpoint, or the run is about to stop on request.

        Raises:
            UserError: If the loss is not finite, or a weight was not at the save before this one: such a state never
                takes the place of a good one.
        """

    def is_hopeless(self, progress: Progress) -> bool:
        """Whether the run is to end although there is something left to train.

        Asked before each epoch, on resuming too: whoever was interrupted has perhaps not been told of the one before.
        """


def of_processes(parts: Parts, scores: Scores) -> list[dict[str, Any]]:
    """What each process has for itself, by rank, for the one that writes: generators, and what its metric counted."""
    of_this = {"generators": generator_states(parts.group is None), "metric": scores.metric_states()}
    return [of_this] if parts.group is None else parts.group.at_first(of_this)
