"""A study of Optuna in the directory of its sweep: it asks which point is next, and is told what a point came to."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    RandomSampler,
    TPESampler,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from runner.config.sections.launching import Objective, OptunaSweeper
from runner.errors import UserError

_NAME = "sweep"
_WORKER = "worker"

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Study:
    """The trials of a sweep. Several processes, of several machines, may work on one study.

    What is asked for depends on the sampler's seed, the number of the trial and the results so far, and on nothing that
    this process remembers: a study that goes on after an interruption asks for what it would have asked for without.

    Args:
        journal: The file that holds the trials.
        settings: Of the sweeper.
        objectives: What is optimised.
        distributions: What is chosen from, by key.
    """

    def __init__(
        self,
        journal: Path,
        settings: OptunaSweeper,
        objectives: Sequence[Objective],
        distributions: Mapping[str, BaseDistribution],
    ) -> None:
        self.planned = planned(settings, distributions)
        self._settings = settings
        self._distributions = dict(distributions)
        self._study = optuna.create_study(
            storage=storage(journal),
            study_name=_NAME,
            directions=[objective.direction for objective in objectives],
            load_if_exists=True,
        )

    def ask(self, worker: int | None = None) -> FrozenTrial | None:
        """A new trial with its ``params``; None when the study has as many as it is to have.

        Args:
            worker: The number of whoever asks, where several work on the study.
        """
        if len(self._study.get_trials(deepcopy=False)) >= self.planned:
            return None
        asked = self._study.ask()
        if asked.number >= self.planned:  # another process has asked for the last one at the same time
            self.fail(asked.number)
            return None
        if worker is not None:
            asked.set_user_attr(_WORKER, worker)
        return self.drawn(asked.number)

    def drawn(self, number: int) -> FrozenTrial:
        """A trial with all of its ``params``, which are drawn as far as it has none.

        A process that was killed while it asked has left a trial with some of them, or none. So they are drawn in a
        copy of the trials before it, always from the first one on: whoever goes on draws the same.
        """
        trial = self.trial(number)
        if trial.params.keys() == self._distributions.keys():
            return trial
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            chooses = sampler(self._settings, self._distributions, number)
        before = optuna.create_study(directions=self._study.directions, sampler=chooses)
        before.add_trials(self._study.get_trials(deepcopy=False)[:number])
        before.ask(self._distributions)
        found, known = before.get_trials(deepcopy=False)[number], Trial(self._study, trial._trial_id)
        for name, value in found.system_attrs.items():  # some samplers remember there what they need later
            known.storage.set_trial_system_attr(trial._trial_id, name, value)
        for key, distribution in self._distributions.items():
            if key not in trial.params:
                value = distribution.to_internal_repr(found.params[key])
                known.storage.set_trial_param(trial._trial_id, key, value, distribution)
        return self.trial(number)

    def trial(self, number: int) -> FrozenTrial:
        """A trial by its number."""
        return self._study.get_trials(deepcopy=False)[number]

    def unfinished(self) -> dict[int, int | None]:
        """The trials that were asked for and not told of, each with the number of the worker that goes on with it."""
        trials = self._asked()
        return {trial.number: trial.user_attrs.get(_WORKER) for trial in trials if trial.state == TrialState.RUNNING}

    def left(self) -> int:
        """How many trials are still to be told of, those included that nobody has asked for yet."""
        return self.planned - sum(trial.state.is_finished() for trial in self._asked())

    def num_failed(self) -> int:
        """How many trials have come to nothing."""
        return sum(trial.state == TrialState.FAIL for trial in self._asked())

    def _asked(self) -> list[FrozenTrial]:
        """The trials that were asked for; processes that ask at the same time may leave more than planned."""
        return self._study.get_trials(deepcopy=False)[: self.planned]

    def give(self, number: int, worker: int) -> None:
        """Have a worker go on with a trial that another one has left."""
        Trial(self._study, self.trial(number)._trial_id).set_user_attr(_WORKER, worker)

    def tell(self, number: int, values: Sequence[float]) -> None:
        """What a trial came to; numbers that are not finite are a failure."""
        if all(map(math.isfinite, values)):
            self._tell(number, TrialState.COMPLETE, values)
        else:
            self.fail(number)

    def fail(self, number: int) -> None:
        """A trial that came to nothing."""
        self._tell(number, TrialState.FAIL)

    def prune(self, number: int) -> None:
        """A trial that was ended early."""
        self._tell(number, TrialState.PRUNED)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        self._study.sampler = RandomSampler()  # that of a grid would stop a loop of Optuna's, which is not there
        self._study.tell(number, values, state, skip_if_finished=True)


def planned(settings: OptunaSweeper, distributions: Mapping[str, BaseDistribution]) -> int:
    """How many trials a study has when it is complete: a grid has no more than its points."""
    if settings.sampler != "grid":
        return settings.n_trials
    return min(settings.n_trials, math.prod(map(len, grid_of(distributions).values())))


def grid_of(distributions: Mapping[str, BaseDistribution]) -> dict[str, list[Any]]:
    """Every value of every key.

    Raises:
        UserError: If a range has no steps.
    """
    found: dict[str, list[Any]] = {}
    for key, distribution in distributions.items():
        values: Any = distribution
        if hasattr(values, "choices"):
            found[key] = list(values.choices)
        elif values.step is None:
            raise UserError(
                f"sampler=grid needs values, and {key} is a range without steps",
                fix=f"{key}=range({values.low},{values.high},STEP), or another sweeper.sampler",
            )
        else:
            count = round((values.high - values.low) / values.step) + 1
            found[key] = [values.low + number * values.step for number in range(count)]
    return found


def sampler(settings: OptunaSweeper, distributions: Mapping[str, BaseDistribution], number: int) -> BaseSampler:
    """What chooses the trial of a number."""
    seed = None if settings.sampler_seed is None else (settings.sampler_seed * 1_000_003 + number) % 2**32
    startup = settings.startup_trials
    if settings.sampler == "random":
        return RandomSampler(seed)
    if settings.sampler == "grid":
        # Trial n has point n of the shuffled grid, so every trial has to shuffle it alike.
        return GridSampler(grid_of(distributions), settings.sampler_seed or 0)
    if settings.sampler == "cmaes":
        return CmaEsSampler(n_startup_trials=max(1, startup), seed=seed)
    if settings.sampler == "gp":
        return GPSampler(n_startup_trials=max(1, startup), seed=seed, deterministic_objective=False)
    # With trials under way, a point near them is taken for a bad one, so that processes side by side look elsewhere.
    return TPESampler(n_startup_trials=startup, seed=seed, constant_liar=True)


def pruner(settings: OptunaSweeper, epochs: int) -> BasePruner:
    """What ends trials early.

    Args:
        settings: Of the sweeper.
        epochs: That a trial is planned to have.
    """
    least = settings.prune_after
    if settings.pruner == "median":
        return MedianPruner(n_startup_trials=min(5, settings.startup_trials), n_warmup_steps=least)
    if settings.pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=least, reduction_factor=3)
    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=least, max_resource=max(least, epochs), reduction_factor=3)
    return NopPruner()


def storage(journal: Path) -> JournalStorage:
    """The trials in a file that several processes may share.

    A process that was killed, or a disk that was full, may have left the last line half written: it is cut off.
    """
    file = str(journal.resolve())  # the lock beside it is found from any folder
    lock = JournalFileOpenLock(file)
    lock.acquire()
    try:
        _cut_torn_line(journal)
    finally:
        lock.release()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return JournalStorage(JournalFileBackend(file, lock))


def _cut_torn_line(journal: Path) -> None:
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with journal.open("r+b") as file:
            file.truncate(whole)


def reported(journal: Path, number: int, settings: OptunaSweeper, epochs: int) -> Trial:
    """A trial of a study, for the process that executes it: it reports after every epoch and asks whether to end."""
    study = optuna.load_study(study_name=_NAME, storage=storage(journal), pruner=pruner(settings, epochs))
    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
