"""Whether more or less of a metric is better."""

from runner.runs.direction import direction_of, higher_is_better


def test_direction_follows_from_the_name_with_or_without_a_split() -> None:
    assert [higher_is_better(name) for name in ("val/accuracy", "val/dice_membrane", "r2")] == [True, True, True]
    assert [higher_is_better(name) for name in ("val/loss", "train/mae", "rmse")] == [False, False, False]


def test_direction_has_the_word_that_optuna_uses() -> None:
    assert [direction_of(higher) for higher in (True, False)] == ["maximize", "minimize"]
