"""The trials of a study as runs of a sweep, each asked for when a slot is free, so that none waits for another."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from runner.config.compose import Composed
from runner.errors import UserError
from runner.launch.judge import StudyJudge
from runner.launch.single import freeze
from runner.launch.study_sweep import Question
from runner.runs.directory import RunDirectory
from runner.runs.lock import is_held
from runner.runs.rebuild import read_status
from runner.runs.status import OVER, Status
from runner.runs.sweep_directory import SweepDirectory, number_of
from runner.tracking.formatting import short


class Trials:
    """Where the runs of a study come from.

    A trial is one run, or one for each of some seeds, which it is judged by together. Run ``n`` is that of trial
    ``n // seeds``, so that numbers are the same whichever process, or machine, makes the run.

    Args:
        made: The sweep.
        question: What its study is asked.
        with_threads: Gives the configuration of a run with its threads in it.
        say: Told in a line what could not be run.
        worker: The number of this process where several work on the study: of the trials that were interrupted, it goes
            on with its own. None: with all.
    """

    def __init__(
        self,
        made: SweepDirectory,
        question: Question,
        with_threads: Callable[[Composed], Composed],
        say: Callable[[str], None],
        worker: int | None = None,
    ) -> None:
        self._made = made
        self._question = question
        self._with_threads = with_threads
        self._say = say
        self._study = question.study(made)
        self._num_seeds = question.settings.seeds or 1
        self._worker = worker
        self._to_adopt = [trial for trial, owner in self._study.unfinished().items() if worker in (None, owner)]
        self._ready: list[RunDirectory] = []

    def more(self) -> Sequence[RunDirectory]:
        """The runs of a trial that was interrupted, or else of a new one."""
        while not self._ready and self._to_adopt:
            self._ready += self._adopted(self._to_adopt.pop(0))
        while not self._ready and (trial := self._study.ask(self._worker)) is not None:
            self._ready += self._frozen(trial.number, self._first_seeds)
        ready, self._ready = self._ready, []
        return ready

    @property
    def num_failed(self) -> int:
        """How many trials have come to nothing, those that were no run and those of an earlier process too."""
        return self._study.num_failed()

    def judge(self, run: RunDirectory) -> StudyJudge | None:
        """The study's pruner, for the run that stands for its trial: the first of its seeds."""
        trial, seed = divmod(number_of(run.path), self._num_seeds)
        if not self._is_judged or seed:
            return None
        return StudyJudge(self._made.journal, trial, self._question.objectives[0].metric, self._question.settings)

    def ended(self, run: RunDirectory, status: Status) -> None:
        """Tell the study, when all runs of the trial are over."""
        trial = number_of(run.path) // self._num_seeds
        if status.state == "pruned":
            self._study.prune(trial)
        elif status.state == "failed":
            self._study.fail(trial)
        elif len(self._runs_of(trial)) < self._num_seeds:
            self._ready += self._frozen(trial, range(1, self._num_seeds))
        else:
            self._tell(trial)

    @property
    def _is_judged(self) -> bool:
        return self._question.settings.pruner != "none"

    @property
    def _first_seeds(self) -> range:
        """The seeds that a trial begins with: where it may be pruned, its first alone, which is judged."""
        return range(1 if self._is_judged else self._num_seeds)

    def _tell(self, trial: int) -> None:
        statuses = [read_status(run) for run in self._runs_of(trial)]
        if len(statuses) < self._num_seeds or any(status.state != "completed" for status in statuses):
            return
        objectives = self._question.objectives
        values = [fmean(value_of(status, objective.metric) for status in statuses) for objective in objectives]
        for objective, value in zip(objectives, values, strict=True):
            if not math.isfinite(value):
                metric = statuses[0].monitor if objective.metric == "monitor" else objective.metric
                self._say(f"trial {trial} has failed: its {metric} is not a number")
        self._study.tell(trial, values)

    def _runs_of(self, trial: int) -> list[RunDirectory]:
        numbers = range(trial * self._num_seeds, (trial + 1) * self._num_seeds)
        found = self._made.runs()
        return [found[number] for number in numbers if number in found]

    def _adopted(self, trial: int) -> list[RunDirectory]:
        """What is left to run of a trial that a process has begun and left."""
        self._study.drawn(trial)
        begun = max(len(self._first_seeds), len(self._runs_of(trial)))
        runs = self._frozen(trial, range(begun))
        over = [read_status(run).state in OVER for run in runs]
        if runs and all(over):
            self.ended(runs[0], read_status(runs[0]))
        return [run for run, is_over in zip(runs, over, strict=True) if not (is_over or is_held(run.path))]

    def _frozen(self, trial: int, seeds: range) -> list[RunDirectory]:
        """The run directories of a trial, made as far as they are not there; none where it cannot be composed."""
        there = {number_of(run.path): run for run in self._runs_of(trial)}
        wanted = {trial * self._num_seeds + seed: seed for seed in seeds}
        try:
            there |= self._made_runs(trial, {number: seed for number, seed in wanted.items() if number not in there})
            return [there[number] for number in wanted]
        except UserError as error:
            self._study.fail(trial)
            self._say(f"trial {trial} cannot be run: {error}")
            return []

    def _made_runs(self, trial: int, seeds: Mapping[int, int]) -> dict[int, RunDirectory]:
        """New run directories of a trial, by number; ``seeds`` says which of its seeds each of them has."""
        params = self._study.trial(trial).params
        values = [(key, short(str(value))) for key, value in params.items()]
        spaces = self._question.spaces
        point = [*self._question.fixed, *(spaces[key].override(value) for key, value in params.items())]
        if self._question.settings.seeds is None:
            return {number: freeze(self._compose(point), self._made.place(number, values)) for number in seeds}
        first = int(self._compose(point).config["seed"]) if seeds else 0
        made = {}
        for number, seed in seeds.items():
            place = self._made.place(number, [*values, ("seed", str(first + seed))])
            made[number] = freeze(self._compose([*point, f"seed={first + seed}"]), place)
        return made

    def _compose(self, point: Sequence[str]) -> Composed:
        return self._with_threads(self._question.composer.compose(point))


def value_of(status: Status, metric: str) -> float:
    """What a complete run came to; NaN where it has no such figure.

    Args:
        status: Of the run.
        metric: ``monitor``, the best value of the run's monitored metric; ``seconds``; or a figure of the best epoch or
            of the test split, such as ``val/f1``.
    """
    if metric == "monitor":
        return math.nan if status.best is None else status.best
    return status.seconds if metric == "seconds" else status.metrics.get(metric, math.nan)
