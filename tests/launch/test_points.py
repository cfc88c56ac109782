"""The points of a grid."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config.compose import Composer
from runner.config.paths import Places
from runner.config.sections.launching import GridSweeper
from runner.errors import UserError
from runner.launch.points import differing, grid
from runner.runs.directory import values_of


def sweeper(**settings: object) -> GridSweeper:
    target = "hydra_plugins.runner_plugins.grid_sweeper.GridSweeper"
    return GridSweeper.model_validate({"_target_": target, "params": None, "zip": [], "seeds": None, **settings})


@pytest.fixture(scope="module")
def loader() -> object:
    return Composer(Places.find(None, Path.cwd())).files.loader


def test_every_combination_is_a_point_and_the_last_key_varies_first(loader) -> None:
    assert grid(["optimizer.lr=0.1,0.01", "epochs=2", "seed=range(2)"], sweeper(), loader, 0) == [
        ["optimizer.lr=0.1", "epochs=2", "seed=0"],
        ["optimizer.lr=0.1", "epochs=2", "seed=1"],
        ["optimizer.lr=0.01", "epochs=2", "seed=0"],
        ["optimizer.lr=0.01", "epochs=2", "seed=1"],
    ]


def test_a_glob_stands_for_the_options_of_a_group(loader) -> None:
    points = grid(["model=glob(conv*)"], sweeper(), loader, 0)
    assert points == [["model=convnet"], ["model=convnet1d"]]


def test_a_glob_leaves_out_the_base_file_that_options_share(loader) -> None:
    assert grid(["data=glob(*a*s*)"], sweeper(), loader, 0) == [
        ["data=csv_images"],
        ["data=fashion_mnist"],
        ["data=mask_folder"],
        ["data=shapes"],
    ]


def test_lists_and_quoted_texts_stay_whole(loader) -> None:
    points = grid(["model.hidden=[64],[128,64]", "name='a,b',c"], sweeper(), loader, 0)
    assert points[0] == ["model.hidden=[64]", "name='a,b'"]
    assert points[3] == ["model.hidden=[128,64]", "name=c"]


def test_keys_in_a_file_are_swept_like_typed_ones_which_win(loader) -> None:
    brought = sweeper(params={"optimizer.lr": "0.1,0.01", "seed": [1, 2], "epochs": 3})
    assert grid(["optimizer.lr=1"], brought, loader, 0) == [
        ["optimizer.lr=1", "seed=1", "epochs=3"],
        ["optimizer.lr=1", "seed=2", "epochs=3"],
    ]


def test_zipped_keys_go_in_step_and_the_others_are_combined_with_them(loader) -> None:
    zipped = sweeper(zip=[["optimizer.lr", "data.batch_size"]])
    assert grid(["optimizer.lr=0.1,0.2", "seed=0,1", "data.batch_size=32,64"], zipped, loader, 0) == [
        ["optimizer.lr=0.1", "seed=0", "data.batch_size=32"],
        ["optimizer.lr=0.1", "seed=1", "data.batch_size=32"],
        ["optimizer.lr=0.2", "seed=0", "data.batch_size=64"],
        ["optimizer.lr=0.2", "seed=1", "data.batch_size=64"],
    ]


def test_seeds_repeat_every_point_and_count_on_from_that_of_the_run(loader) -> None:
    points = grid(["optimizer.lr=0.1,0.2"], sweeper(seeds=3), loader, first_seed=7)
    assert [values_of(point)["seed"] for point in points] == ["7", "8", "9"] * 2


@pytest.mark.parametrize(
    ("typed", "settings", "message"),
    [
        (["optimizer.lr=interval(0,1)"], {}, r"a range without steps"),
        (["seed=0,1"], {"seeds": 2}, r"seeds=2 and seed=0,1 both say"),
        (["a=0,1", "b=0,1,2"], {"zip": [["a", "b"]]}, r"a has 2, b has 3 values"),
        (["a=0,1", "b=0"], {"zip": [["a", "b"]]}, r"b has not several values"),
        (["a=0,1", "b=0,1"], {"zip": [["a", "bb"]]}, r"bb has not several values\n.*\n  nearest:  b"),
        (["a==,="], {}, r"a==,= cannot be read"),
        (["a=range(0,0)"], {}, r"a=range\(0,0\) has no values\n  expected: one or more, such as a=A,B,C"),
        (["a=range(0,3,0)"], {}, r"a=range\(0,3,0\) has no values"),
        (["model=glob(nothing*)"], {}, r"model=glob\(nothing\*\) has no values"),
    ],
)
def test_what_is_no_grid_is_told(typed: list[str], settings: dict[str, object], message: str, loader) -> None:
    with pytest.raises(UserError, match=message):
        grid(typed, sweeper(**settings), loader, 0)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_has_the_product_of_the_counts_and_no_point_twice(counts: list[int]) -> None:
    typed = [f"k{n}={','.join(map(str, range(count)))}" for n, count in enumerate(counts)]
    points = grid(typed, sweeper(), None, 0)  # type: ignore[arg-type]
    expected = itertools.product(*(range(count) for count in counts))
    assert [_numbers(point) for point in points] == [tuple(one) for one in expected]


def _numbers(point: Sequence[str]) -> tuple[int, ...]:
    return tuple(int(text.partition("=")[2]) for text in point)


def test_the_keys_that_differ_are_those_with_several_values() -> None:
    assert differing([["a=1", "b=2", "+c=3"], ["a=1", "b=3", "+c=4"]]) == ["b", "c"]
    assert differing([["a=1"]]) == []
