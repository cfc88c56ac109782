"""Whether a trial of a study has come to be hopeless, asked by the process that trains it after every epoch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.sections.launching import OptunaSweeper

if TYPE_CHECKING:
    from optuna.trial import Trial

_HOPELESS_AFTER = "hopeless_after"


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
        """Whether the trial is to end; ``epoch`` is counted from 1.

        Of an epoch the study is told once, and whoever asks again gets the answer of then: the trial may have gone on
        since, and some pruners remember whom they have asked.
        """
        from runner.launch.study import reported

        if self._trial is None:
            self._trial = reported(self.journal, self.number, self.settings, epochs)
        known = self._trial.study.get_trials(deepcopy=False)[self.number]
        told = known.intermediate_values
        if epoch not in told:
            self._trial.report(value, epoch)
        elif epoch < max(told) or _HOPELESS_AFTER in known.user_attrs:  # before an interruption
            return bool(epoch == known.user_attrs.get(_HOPELESS_AFTER))
        is_hopeless = bool(self._trial.should_prune())
        if is_hopeless:
            self._trial.set_user_attr(_HOPELESS_AFTER, epoch)
        return is_hopeless
