"""A study: numbers, totals, pruning, and what an interruption changes: nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from runner.config.sections.launching import Objective, OptunaSweeper
from runner.errors import UserError
from runner.launch.judge import StudyJudge
from runner.launch.study import Study

LR = {"lr": FloatDistribution(1e-4, 1e-1, log=True)}
MIXED = {**LR, "width": IntDistribution(8, 64, step=8), "model": CategoricalDistribution(["mlp", "lenet"])}
ACCURACY = [Objective(metric="val/accuracy", direction="maximize")]


def settings(**given: object) -> OptunaSweeper:
    standard = {
        "_target_": "hydra_plugins.runner_plugins.optuna_sweeper.OptunaSweeper",
        **{"params": None, "n_trials": 12, "sampler": "tpe", "sampler_seed": 0, "startup_trials": 4},
        **{"pruner": "none", "prune_after": 1, "objectives": "auto", "seeds": None},
    }
    return OptunaSweeper.model_validate(standard | given)


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[..., Study]:
    def open_(distributions=MIXED, objectives=ACCURACY, journal="study.journal", **given: object) -> Study:
        return Study(tmp_path / journal, settings(**given), objectives, distributions)

    return open_


def value(params: dict[str, object]) -> float:
    return -abs(float(params["lr"]) - 0.01) - int(params.get("width", 0)) / 1000  # type: ignore[arg-type]


def work(study: Study, most: int = 1000) -> list[dict[str, object]]:
    """The parameters of the trials that a study asks for, each told what it came to."""
    asked = []
    while len(asked) < most and (trial := study.ask()) is not None:
        asked.append(dict(trial.params))
        study.tell(trial.number, [value(trial.params)])
    return asked


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "gp"])
def test_a_study_that_was_interrupted_asks_for_what_it_would_have_asked_for(open_study, sampler: str) -> None:
    space = LR if sampler == "cmaes" else MIXED
    unbroken = work(open_study(space, sampler=sampler, journal="one"))
    first = work(open_study(space, sampler=sampler, journal="other"), most=7)
    rest = work(open_study(space, sampler=sampler, journal="other"))
    assert len(unbroken) == 12
    assert first + rest == unbroken


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "gp"])
def test_a_trial_whose_process_was_killed_while_it_asked_gets_what_it_would_have_got(
    open_study, tmp_path: Path, sampler: str
) -> None:
    space = LR | {"dropout": FloatDistribution(0.0, 0.5), "width": IntDistribution(8, 64, step=8)}
    unbroken = work(open_study(space, sampler=sampler, startup_trials=2, journal="one"))
    for number in (0, 7):
        journal = tmp_path / f"killed-{number}"
        study = open_study(space, sampler=sampler, startup_trials=2, journal=journal.name)
        work(study, most=number)
        before = len(journal.read_bytes().splitlines())
        study.ask()
        asked = journal.read_bytes().splitlines(keepends=True)[before:]
        for left in range(1, len(asked)):
            whole = journal.read_bytes().splitlines(keepends=True)[:before]
            journal.write_bytes(b"".join(whole + asked[:left]))
            again = open_study(space, sampler=sampler, startup_trials=2, journal=journal.name)
            assert len(again.trial(number).params) < 3
            assert again.drawn(number).params == unbroken[number]


def test_processes_that_ask_at_the_same_time_get_different_points(open_study) -> None:
    one, other = open_study(LR, sampler="random"), open_study(LR, sampler="random")
    ask = one._study.ask
    with pytest.MonkeyPatch.context() as patched:
        # The other one asks between the look at the trials that there are and the making of the next.
        patched.setattr(one._study, "ask", lambda *given: (other.ask(), ask(*given))[1])
        assert one.ask().params != other.trial(0).params


def test_a_seed_of_its_own_gives_other_points_and_no_two_trials_are_the_same(open_study) -> None:
    one, other = (work(open_study(LR, journal=str(n), sampler="random", sampler_seed=n)) for n in (0, 1))
    assert len({point["lr"] for point in one + other}) == 24  # type: ignore[misc]


def test_a_grid_has_each_of_its_points_once(open_study) -> None:
    space = {"width": IntDistribution(8, 24, step=8), "model": CategoricalDistribution(["mlp", "lenet"])}
    study = open_study(space, sampler="grid", n_trials=100)
    asked = []
    while (trial := study.ask()) is not None:
        asked.append(tuple(trial.params.values()))
        if trial.number % 2:
            study.tell(trial.number, [0.5])
    assert study.planned == 6
    assert sorted(asked) == [(w, m) for w in (8, 16, 24) for m in ("lenet", "mlp")]


def test_a_grid_over_a_range_without_steps_is_refused(open_study) -> None:
    with pytest.raises(UserError, match=r"sampler=grid needs values, and lr is a range without steps"):
        open_study(LR, sampler="grid")


def test_processes_that_share_a_study_get_different_trials_and_no_more_than_planned(open_study) -> None:
    studies = [open_study(), open_study(), open_study()]
    numbers = []
    for turn in range(30):
        trial = studies[turn % 3].ask()
        if trial is not None:
            numbers.append(trial.number)
    assert numbers == list(range(12))


def test_trials_that_nobody_told_of_are_known_to_the_next_process(open_study) -> None:
    study = open_study()
    for _ in range(3):
        study.ask()
    study.tell(1, [0.5])
    assert open_study().unfinished() == {0: None, 2: None}
    assert open_study().left() == 11


def test_of_several_workers_each_goes_on_with_its_own_trials_until_they_are_given_to_another(open_study) -> None:
    study = open_study()
    for worker in (1, 0, 1):
        study.ask(worker)
    study.tell(0, [0.5])
    assert open_study().unfinished() == {1: 0, 2: 1}
    study.give(2, 0)
    assert open_study().unfinished() == {1: 0, 2: 0}


@pytest.mark.parametrize("worthless", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_a_failed_trial_and_the_study_goes_on(open_study, worthless: float) -> None:
    study = open_study()
    study.tell(study.ask().number, [worthless])
    assert study.trial(0).state == TrialState.FAIL
    assert study.ask().number == 1


def test_several_objectives_have_a_value_each(open_study) -> None:
    both = [*ACCURACY, Objective(metric="seconds", direction="minimize")]
    study = open_study(objectives=both)
    study.tell(study.ask().number, [0.9, 12.0])
    assert study.trial(0).values == [0.9, 12.0]


def test_a_line_that_was_half_written_when_a_process_was_killed_costs_nothing_else(open_study, tmp_path: Path) -> None:
    study = open_study()
    study.tell(study.ask().number, [0.5])
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker')
    again = open_study()
    assert journal.read_bytes().startswith(whole)
    assert again.trial(0).values == [0.5]
    assert again.ask().number == 1
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_lock_that_a_killed_process_left_does_not_stop_the_next(open_study, tmp_path: Path, monkeypatch) -> None:
    open_study()
    (tmp_path / "study.journal.lock").touch()
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    assert open_study().ask().number == 0


def test_the_median_pruner_ends_a_trial_that_is_worse_than_the_others_were(open_study, tmp_path: Path) -> None:
    chosen = settings(pruner="median", startup_trials=2, prune_after=2)
    study = open_study(pruner="median", startup_trials=2)
    for accuracy in (0.8, 0.9):
        judge = StudyJudge(tmp_path / "study.journal", study.ask().number, "val/accuracy", chosen)
        assert [judge.is_hopeless(epoch, 5, accuracy) for epoch in (1, 2)] == [False, False]
        study.tell(judge.number, [accuracy])
    bad = StudyJudge(tmp_path / "study.journal", study.ask().number, "val/accuracy", chosen)
    assert bad.is_hopeless(1, 5, 0.2) is False  # prune_after=2: judged after the second epoch
    assert bad.is_hopeless(2, 5, 0.2) is True


def test_an_epoch_that_is_trained_again_after_an_interruption_is_reported_once(open_study, tmp_path: Path) -> None:
    number = open_study(pruner="median").ask().number
    for told in (0.5, 0.7):  # by two processes, of which the second begins the epoch anew
        judge = StudyJudge(tmp_path / "study.journal", number, "val/accuracy", settings(pruner="median"))
        judge.is_hopeless(1, 5, told)
    assert open_study().trial(number).intermediate_values == {1: 0.5}


@pytest.mark.parametrize("pruner", ["median", "asha"])
def test_whoever_asks_again_after_an_interruption_gets_the_answer_of_before(
    open_study, tmp_path: Path, pruner: str
) -> None:
    chosen = settings(pruner=pruner, startup_trials=1, prune_after=3)
    study = open_study(pruner=pruner, startup_trials=1)

    def ask_twice(number: int, epoch: int, value: float) -> list[bool]:
        judges = (StudyJudge(tmp_path / "study.journal", number, "val/accuracy", chosen) for _ in range(2))
        return [judge.is_hopeless(epoch, 5, value) for judge in judges]

    for _ in range(3):
        number = study.ask().number
        assert [ask_twice(number, epoch, 0.9) for epoch in (1, 2, 3)] == [[False, False]] * 3
        study.tell(number, [0.9])
    number = study.ask().number
    assert [ask_twice(number, epoch, 0.2) for epoch in (1, 2, 3)] == [[False, False], [False, False], [True, True]]
    assert ask_twice(number, 2, 0.2) == [False, False], "taken up from a checkpoint before"
