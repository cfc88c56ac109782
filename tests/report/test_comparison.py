"""What differs between runs, which of them belong together, and what they come to."""

import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run, make_sweep

from runner.errors import UserError
from runner.report.comparison import Comparison, Mean, differences, labels_of
from runner.report.runs import Found
from runner.runs.status import Status

Compared = Callable[..., Comparison]


# --- which settings are shown -----------------------------------------------------------------------------------------


def test_only_settings_that_differ_are_shown_as_they_were_typed(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", {"seed": 0, "optimizer.lr": 0.1, "epochs": 5})
    make_run(tmp_path / "b", {"seed": 1, "optimizer.lr": 0.1, "epochs": 5, "model.dropout": 0.2})
    found = compared()
    assert found.keys == ("seed", "model.dropout")
    assert [row.values for row in found.rows] == [
        {"seed": 0, "model.dropout": 0.0},
        {"seed": 1, "model.dropout": 0.2},
    ]


def test_an_option_stands_for_the_settings_that_it_brings(tmp_path: Path, compared: Compared) -> None:
    sgd = {"optimizer._target_": "torch.optim.SGD", "optimizer.momentum": 0.9}
    make_run(tmp_path / "a", typed=["optimizer=adam"])
    make_run(tmp_path / "b", sgd, choices={"optimizer": "sgd"}, typed=["optimizer=sgd"])
    assert compared().keys == ("optimizer",)
    # Two rates with one option: that does not follow from the option any more.
    make_run(tmp_path / "c", {**sgd, "optimizer.lr": 0.5}, choices={"optimizer": "sgd"}, typed=["optimizer=sgd"])
    assert compared().keys == ("optimizer", "optimizer.lr")


def test_a_setting_that_was_typed_is_shown_whatever_it_follows_from(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", {"optimizer.lr": 0.001}, choices={"optimizer": "adam"})
    make_run(tmp_path / "b", {"optimizer.lr": 0.1}, choices={"optimizer": "sgd"})
    assert compared().keys == ("optimizer", "optimizer.lr")


def test_options_that_another_one_brings_are_left_out(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", typed=["model=mlp"])
    make_run(tmp_path / "b", choices={"model": "unet", "data": "shapes"}, typed=["model=unet"])
    assert compared().keys == ("model",)
    make_run(tmp_path / "c", choices={"model": "unet", "data": "digits"}, typed=["model=unet", "data=digits"])
    assert compared().keys == ("model", "data")


def test_an_edited_file_of_another_group_is_told(tmp_path: Path, compared: Compared) -> None:
    """Nobody typed the batch size: conf/ was changed between the two."""
    make_run(tmp_path / "a", {"optimizer.lr": 0.1})
    make_run(tmp_path / "b", {"optimizer.lr": 0.2, "data.batch_size": 32}, typed=["optimizer.lr=0.2"])
    assert compared().keys == ("optimizer.lr", "data.batch_size")


def test_what_a_run_is_called_keeps_and_how_fast_it_reads_is_no_difference(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", {"name": "one", "tracking.graph": True})
    make_run(tmp_path / "b", {"name": "two", "tracking.graph": False, "data.workers": 4}, typed=["name=two"])
    found = compared()
    assert found.keys == ()
    assert len(found.groups) == 1
    make_run(tmp_path / "c", {"data.workers": 8})
    assert compared().keys == ("data.workers",)  # somebody typed it: to compare it


def test_a_setting_that_a_run_lacks_differs_from_one_that_is_null(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", {"optimizer.momentum": None})
    assert compared().keys == ("optimizer.momentum",)


def test_between_two_runs_everything_is_told(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", {"name": "one"})
    make_run(
        tmp_path / "b", {"tracking.graph": False, "optimizer.momentum": 0.9}, choices={"optimizer": "sgd"}, typed=[]
    )
    one, other = (row.facts for row in compared().rows)
    assert differences(one, other) == {
        "optimizer": ("adam", "sgd"),
        "tracking.graph": (True, False),
        "optimizer.momentum": (None, 0.9),
    }


# --- means over seeds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["config.yaml", "overrides.yaml"])
def test_a_run_whose_record_is_damaged_makes_nothing_differ(tmp_path: Path, compared: Compared, file: str) -> None:
    for number, lr in enumerate((0.1, 0.1, 0.01)):
        make_run(tmp_path / f"{number}", {"optimizer.lr": lr})
    (tmp_path / "0" / file).write_text("")
    assert compared().keys == ("optimizer.lr",)


def test_mean_and_spread_over_seeds_by_hand(tmp_path: Path, compared: Compared) -> None:
    for lr, values in ((0.1, (0.5, 0.7)), (0.01, (0.8, 0.9, 1.0))):
        for seed, value in enumerate(values):
            metrics = {"val/accuracy": value, "val/loss": 1 - value}
            make_run(tmp_path / f"{lr}-{seed}", {"optimizer.lr": lr, "seed": seed}, metrics=metrics, best=value)
    found = compared()
    slow, fast = found.groups  # in the order of the folders
    assert (slow.values, len(slow.rows)) == ({"optimizer.lr": 0.01}, 3)
    # (0.8 + 0.9 + 1.0) / 3, and the root of (0.01 + 0 + 0.01) / 2; then 0.6 and the root of (0.01 + 0.01) / 1.
    assert slow.mean("val/accuracy") == Mean(pytest.approx(0.9), pytest.approx(0.1), 3)
    assert fast.mean("val/accuracy") == Mean(pytest.approx(0.6), pytest.approx(0.02**0.5), 2)
    assert found.best_group is slow
    assert found.best is not None
    assert found.best.run.path.name == "0.01-2"


def test_a_run_that_is_not_complete_is_in_its_group_and_in_no_mean(tmp_path: Path, compared: Compared) -> None:
    for seed, (state, value) in enumerate((("completed", 0.8), ("failed", 0.1), ("pruned", 0.2), ("completed", 0.6))):
        make_run(tmp_path / f"{seed}", {"seed": seed}, state=state, metrics={"val/accuracy": value})
    (group,) = compared().groups
    assert (len(group.rows), len(group.complete)) == (4, 2)
    assert group.mean("val/accuracy") == Mean(pytest.approx(0.7), pytest.approx(0.02**0.5), 2)


def test_a_run_and_its_repetition_count_once(tmp_path: Path, compared: Compared) -> None:
    for seed, value in enumerate((0.5, 0.7)):
        make_run(tmp_path / f"{seed}", {"seed": seed}, metrics={"val/accuracy": value})
    repeating = {"repeats": str(tmp_path / "1")}
    make_run(tmp_path / "1-again", {"seed": 1}, metrics={"val/accuracy": 0.7}, provenance=repeating)
    make_run(tmp_path / "2-again", {"seed": 2}, metrics={"val/accuracy": 0.9}, provenance=repeating)
    make_run(tmp_path / "2-once-more", {"seed": 3}, metrics={"val/accuracy": 0.7})
    make_run(tmp_path / "3", {"seed": 3}, metrics={"val/accuracy": 0.7})  # the same seed by intent
    (group,) = compared().groups
    assert [row.run.path.name for row in group.rows] == ["0", "1", "2-again", "2-once-more", "3"]
    assert group.mean("val/accuracy") == Mean(pytest.approx(0.7), pytest.approx(0.02**0.5), 5)


def test_runs_whose_provenance_cannot_be_read_are_compared_all_the_same(tmp_path: Path, compared: Compared) -> None:
    for name in ("a", "b"):
        (make_run(tmp_path / name, metrics={"val/accuracy": 0.5}) / "provenance.json").unlink()
        (tmp_path / name / "provenance.json").mkdir()
    (group,) = compared().groups
    assert [row.run.path.name for row in group.rows] == ["a", "b"]


def test_a_single_value_has_no_spread_and_none_has_no_mean(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", metrics={"val/accuracy": 0.5})
    (group,) = compared().groups
    assert group.mean("val/accuracy") == Mean(0.5, None, 1)
    assert group.mean("test/accuracy") is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_spread_is_that_of_a_sample(values: list[float]) -> None:
    found = Mean.of(values)
    assert found is not None
    center = math.fsum(values) / len(values)
    by_hand = math.sqrt(math.fsum((value - center) ** 2 for value in values) / (len(values) - 1))
    assert found.mean == pytest.approx(center, abs=1e-6)
    assert found.std == pytest.approx(by_hand, rel=1e-6, abs=1e-6)
    assert found.std == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_a_mean_with_nan_is_nan() -> None:
    found = Mean.of([1.0, math.nan])
    assert found is not None
    assert math.isnan(found.mean)
    assert found.std is not None
    assert math.isnan(found.std)


def test_any_setting_can_be_averaged_over(tmp_path: Path, compared: Compared) -> None:
    for number in range(4):
        settings = {"seed": number % 2, "data.split.val": 0.1 * (number // 2 + 1)}
        make_run(tmp_path / f"{number}", settings, metrics={"val/accuracy": float(number)})
    assert [len(group.rows) for group in compared().groups] == [2, 2]
    (all_four,) = compared(over=("seed", "data.split.val")).groups
    assert (all_four.values, all_four.mean("val/accuracy")) == ({}, Mean(1.5, statistics.stdev(range(4)), 4))


# --- metrics and labels -----------------------------------------------------------------------------------------------


def test_shown_are_the_loss_and_the_monitored_metric_of_validation_and_test(tmp_path: Path, compared: Compared) -> None:
    figures = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/f1", "test/loss", "test/accuracy")
    make_run(tmp_path / "a", metrics=dict.fromkeys(figures, 0.5))
    assert compared().metrics == ("val/loss", "val/accuracy", "test/loss", "test/accuracy")
    assert compared("val/f1", "test/*").metrics == ("val/f1", "test/loss", "test/accuracy")
    with pytest.raises(UserError, match=r"--metric val/f2: no run has it\n  expected: .*\n  nearest:  val/f1"):
        compared("val/f2")


def test_runs_that_monitor_different_things_have_no_best(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", best=0.5)
    make_run(tmp_path / "b", monitor="val/dice", best=0.9)
    found = compared()
    assert (found.objectives, found.best, found.best_group) == ((), None, None)


def test_objectives_of_a_sweep_count_where_it_is_all_that_is_compared(tmp_path: Path, compared: Compared) -> None:
    sweep = make_sweep(tmp_path / "sweep", ["seed"], 2, objectives=[{"metric": "val/loss", "direction": "minimize"}])
    for number, loss in enumerate((0.3, 0.2)):
        make_run(sweep.place(number, []), {"seed": number}, best=1 - number, metrics={"val/loss": loss})
    found = compared()
    assert [objective.metric for objective in found.objectives] == ["val/loss"]
    assert found.best is not None
    assert found.best.label == "0001"
    make_run(tmp_path / "alone", best=2.0)
    found = compared()
    assert [objective.metric for objective in found.objectives] == ["val/accuracy"]
    assert found.best is not None
    assert found.best.label == "alone"


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["s/runs/0000-lr-1", "s/runs/0001-lr-2"], ["0000", "0001"]),
        (["s/runs/0000-lr-1", "t/runs/0000-lr-1"], ["s/0000", "t/0000"]),
        (["d/s/runs/0000", "e/s/runs/0000", "alone"], ["d/s/0000", "e/s/0000", "top/alone"]),
        (["d/first", "e/first"], ["d/first", "e/first"]),
        (["first", "s/runs/0003-x"], ["first", "0003"]),
        (["runs/mine"], ["mine"]),
    ],
)
def test_labels_are_as_short_as_they_can_be(paths: list[str], labels: list[str]) -> None:
    assert labels_of([Found(Path("/top") / path, Status(), "completed") for path in paths]) == labels
