"""When an epoch is the best, when training ends, and what patience means."""

import math

import pytest

from runner.training.progress import Monitor, Plan, Progress


def monitor(*, higher: bool = True, min_delta: float = 0.0, patience: int | None = None) -> Monitor:
    return Monitor("val/accuracy", higher, min_delta, patience)


def plan(epochs: int = 10, max_steps: int | None = None, patience: int | None = None) -> Plan:
    return Plan(epochs, max_steps, 50, 1, None, None, monitor(patience=patience))


def run_epochs(scores: list[float], rule: Monitor) -> tuple[Progress, list[bool]]:
    progress = Progress()
    return progress, [progress.end_epoch({"val": {"accuracy": score}}, rule) for score in scores]


def test_the_best_epoch_is_kept_with_its_number_counted_from_one() -> None:
    progress, best = run_epochs([0.5, 0.7, 0.6], monitor())
    assert best == [True, True, False]
    assert (progress.best, progress.best_epoch, progress.stale_epochs, progress.epoch) == (0.7, 2, 1, 3)


def test_lower_is_better_for_a_loss() -> None:
    progress, best = run_epochs([0.5, 0.7, 0.4], monitor(higher=False))
    assert best == [True, False, True]
    assert progress.best == 0.4


def test_an_equal_score_is_no_improvement() -> None:
    assert run_epochs([0.5, 0.5], monitor())[1] == [True, False]


def test_a_change_up_to_min_delta_is_the_best_but_does_not_count_for_patience() -> None:
    progress, best = run_epochs([0.5, 0.5625, 0.625], monitor(min_delta=0.125))
    assert best == [True, True, True]
    assert (progress.best, progress.stale_epochs) == (0.625, 2)
    progress, _ = run_epochs([0.5, 0.5625, 0.75], monitor(min_delta=0.125))
    assert progress.stale_epochs == 0


def test_the_best_epochs_are_ranked_and_of_equals_the_earlier_comes_first() -> None:
    rule = Monitor("val/accuracy", True, 0.0, None, keep=2)
    progress = Progress()
    for step, score in ((10, 0.5), (20, 0.7), (30, 0.7), (40, 0.6), (50, math.nan)):
        progress.step = step
        progress.end_epoch({"val": {"accuracy": score}}, rule)
    assert progress.ranking == [(0.7, 20), (0.7, 30)]


def test_the_history_grows_where_the_metric_improves_whatever_its_direction() -> None:
    assert run_epochs([0.5, 0.7], monitor())[0].history == [0.5, 0.7]
    assert run_epochs([0.5, 0.7], monitor(higher=False))[0].history == [-0.5, -0.7]


def test_nan_is_never_the_best() -> None:
    progress, best = run_epochs([math.nan, 0.1, math.nan], monitor())
    assert best == [False, True, False]
    assert progress.best == 0.1


def test_patience_counts_epochs_without_improvement() -> None:
    progress, _ = run_epochs([0.5, 0.4], monitor())
    assert not plan(patience=2).fulfilled(progress)
    progress.end_epoch({"val": {"accuracy": 0.3}}, monitor())
    assert plan(patience=2).fulfilled(progress)


@pytest.mark.parametrize(
    ("progress", "done"),
    [
        (Progress(epoch=9), False),
        (Progress(epoch=10), True),
        (Progress(epoch=3, step=99), False),
        (Progress(epoch=3, step=100), True),
        (Progress(epoch=3, step=100, batch=5), False),  # stopped before the validation that belongs to the step
    ],
)
def test_training_ends_after_the_epochs_or_the_steps_whichever_comes_first(progress: Progress, done: bool) -> None:
    assert plan(epochs=10, max_steps=100).fulfilled(progress) is done


def test_steps_left_never_fall_below_zero() -> None:
    assert plan(max_steps=100).steps_left(Progress(step=98)) == 2
    assert plan(max_steps=100).steps_left(Progress(step=100)) == 0
    assert plan().steps_left(Progress(step=100)) is None
