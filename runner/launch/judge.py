"""Whether a trial of a study has come to be hopeless, asked by the process that trains it after every epoch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.sections.launching import OptunaSweeper

if TYPE_CHECKING:
    from optuna.trial import Trial


@dataclass(slots=True)
class StudyJudge:
    """Reports a metric to a study, and asks its pruner.

    Args:
        journal: Of the study.
        number: Of the trial.
        metric: What is reported, such as ``val/accuracy``.
        settings: Of the sweeper.
    """

    journal: Path
    number: int
    metric: str
    settings: OptunaSweeper
    _trial: "Trial | None" = field(default=None, repr=False)

    def is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        """Whether the trial is to end; ``epoch`` is counted from 1, and told once."""
        from runner.launch.study import reported

        if self._trial is None:
            self._trial = reported(self.journal, self.number, self.settings, epochs)
        if epoch not in self._told():
            self._trial.report(value, epoch)
        return bool(self._trial.should_prune())

    def _told(self) -> set[int]:
        """The epochs that were reported, before an interruption too."""
        assert self._trial is not None
        return set(self._trial.study.get_trials(deepcopy=False)[self.number].intermediate_values)
