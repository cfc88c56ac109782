"""The trials of a study as runs: what is left to do for each, wherever an earlier process has left it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

from runner.config.compose import Composer
from runner.config.paths import Places
from runner.config.sections.launching import OptunaSweeper
from runner.launch.spaces import Space
from runner.launch.study_sweep import Question
from runner.launch.trials import Trials
from runner.runs.directory import RunDirectory
from runner.runs.status import State, Status
from runner.runs.sweep_directory import SweepRecord, create

SPACES = {"epochs": Space("epochs", CategoricalDistribution(["2", "3", "0"]))}
"""Of which 0 cannot be composed."""


@pytest.fixture
def open_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trials]:
    """Opens the study of one sweep, as the process does that goes on with it."""
    monkeypatch.chdir(tmp_path)
    made = create(tmp_path / "sweep", SweepRecord("", [], ["epochs"], 3, None, 1), lambda draft: None)
    composer = Composer(Places.find(None, tmp_path))
    objectives = [{"metric": "monitor", "direction": "maximize"}]

    def open_(**given: object) -> Trials:
        standard = {
            "_target_": "hydra_plugins.runner_plugins.optuna_sweeper.OptunaSweeper",
            **{"params": None, "n_trials": 1, "sampler": "grid", "sampler_seed": 0, "startup_trials": 4},
            **{"pruner": "none", "prune_after": 1, "objectives": objectives, "seeds": None},
        }
        settings = OptunaSweeper.model_validate(standard | given)
        return Trials(made, Question(settings, SPACES, ["model=mlp"], composer), lambda one: one, print)

    return open_


def end(run: RunDirectory, state: State) -> Status:
    status = Status.read(run.status_file)
    status.best = 0.5
    status.end(state)
    status.write(run.status_file)
    return status


def numbers(trials: Trials) -> list[str]:
    return [run.path.name[:4] for run in trials.more()]


def test_a_judged_trial_whose_first_seed_was_complete_when_its_process_died_gets_the_others(open_trials) -> None:
    settings = {"pruner": "median", "seeds": 3, "sampler_seed": 1}
    (first,) = open_trials(**settings).more()
    end(first, "completed")  # and the process was killed before it made the others
    again = open_trials(**settings)
    assert numbers(again) == ["0001", "0002"]
    assert numbers(again) == []
