"""Mistakes in defaults lists: told with the file, the line and how to mend it."""

from pathlib import Path

import pytest

from runner.config.catalogue import groups
from runner.config.compose import Composer
from runner.config.paths import Places
from runner.errors import UserErrors

GLOBAL = "# @package _global_\n"
GROUPS = (
    "loss, task, data, model, init, optimizer, scheduler, device, regularization, experiment, hydra/sweeper, "
    "hydra/launcher"
)


def told(folder: Path, *typed: str) -> str:
    with pytest.raises(UserErrors) as refusal:
        Composer(Places.find(None, folder)).compose(typed)
    return str(refusal.value)


def write(folder: Path, name: str, text: str) -> None:
    file = folder / "conf" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            "  - /model: lenet\n",
            "model is chosen twice\n  where:    conf/experiment/mine.yaml, line 3\n  fix:      override /model: lenet",
        ),
        (
            "  - _self_\n  - override model: lenet\n",
            "In 'experiment/mine': Could not override 'experiment/model@model'. No match in the defaults list.\n"
            f"  where:    conf/experiment/mine.yaml, line 4\n  expected: {GROUPS}\n"
            "  nearest:  model\n  fix:      override /model: lenet",
        ),
        (
            "  - override /optimiser: sgd # mine\n",
            "In 'experiment/mine': Could not override 'optimiser'. No match in the defaults list.\n"
            f"  where:    conf/experiment/mine.yaml, line 3\n  expected: {GROUPS}\n"
            "  nearest:  optimizer\n  fix:      override /optimizer: sgd",
        ),
        (
            "  - override /model: lenet\n  - quickstart\n",
            "In experiment/mine: Override 'model : lenet' is defined before 'experiment@_global_: quickstart'.\n"
            "  where:    conf/experiment/mine.yaml, line 3\n  fix:      that line below those without override",
        ),
        (
            "  - _self_\n  - quickstart\n  - _self_\n",
            "Duplicate _self_ defined in experiment/mine\n  where:    conf/experiment/mine.yaml, line 5",
        ),
        (
            "  - quickstrat\n",
            "Could not load 'experiment/quickstrat'.\n"
            "  where:    conf/experiment/mine.yaml, line 3\n"
            "  expected: adapted_resnet, cats_and_dogs, demo, lenet, membrane, mine, quickstart, regularization, "
            "two_inputs\n"
            "  nearest:  quickstart",
        ),
        (
            "  - mine\n",
            "experiment/mine starts from itself\n  where:    conf/experiment/mine.yaml, line 3\n"
            "  fix:      another name for the file, if it is to start from a shipped one",
        ),
    ],
)
def test_a_mistake_in_a_defaults_list_is_told_with_its_line(entries: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", f"{GLOBAL}defaults:\n{entries}")
    assert told(tmp_path, "experiment=mine") == message


def test_the_mistake_of_the_file_that_an_experiment_starts_from_is_told_with_that_file(tmp_path: Path) -> None:
    write(tmp_path, "experiment/other.yaml", f"{GLOBAL}defaults: [override /model: unett]\n")  # not asked for
    write(tmp_path, "experiment/first.yaml", f"{GLOBAL}defaults:\n  - _self_\n  - override /model: unett\n")
    write(tmp_path, "experiment/second.yaml", f"{GLOBAL}defaults: [first, _self_]\n")
    assert "\n  where:    conf/experiment/first.yaml, line 4\n" in told(tmp_path, "experiment=second")


def test_an_option_that_is_to_start_from_the_shipped_one_of_its_name_is_told_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "optimizer/adam.yaml", "defaults: [adam]\nlr: 0.5\n")
    assert told(tmp_path) == (
        "optimizer/adam starts from itself\n  where:    conf/optimizer/adam.yaml, line 1\n"
        "  fix:      another name for the file, if it is to start from a shipped one"
    )


@pytest.mark.parametrize("typed", ["experiment=quickstart", "model=lenet"])
def test_a_plus_where_a_group_is_listed_already_is_told_to_be_left_out(typed: str, tmp_path: Path) -> None:
    group = typed.partition("=")[0]
    assert told(tmp_path, f"+{typed}") == f"+{typed}: {group} is in the defaults list without it\n  fix:      {typed}"


def test_an_option_of_a_group_of_your_own_is_told_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path, "trick/one.yaml", "epochs: 3\n")
    assert told(tmp_path, "trick=one").endswith("\n  fix:      +trick=...")
    assert told(tmp_path, "+trick=one") == (
        "trick=one sets trick.epochs, which is not a setting\n  where:    conf/trick/one.yaml\n"
        "  fix:      # @package _global_ as the first line of that file, or of the one that it starts from"
    )
    write(tmp_path, "trick/one.yaml", f"{GLOBAL}epochs: 3\n")
    assert Composer(Places.find(None, tmp_path)).compose(["+trick=one"]).config["epochs"] == 3


def test_an_experiment_without_anything_in_it_is_told_so(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", "# What I try.\n")
    assert told(tmp_path, "experiment=mine").startswith(
        "experiment=mine sets nothing\n  where:    conf/experiment/mine.yaml\n"
    )


def test_a_setting_without_a_blank_after_its_colon_is_told_with_its_file(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", "epochs:3\n")
    with pytest.raises(Exception, match="experiment/mine is the text epochs:3") as refusal:
        Composer(Places.find(None, tmp_path)).compose(["experiment=mine"])
    assert str(refusal.value).endswith(
        "\n  where:    conf/experiment/mine.yaml\n  fix:      a blank after the colon: epochs: 3"
    )


def test_a_byte_order_mark_is_told_as_what_hides_the_first_line(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", f"\ufeff{GLOBAL}epochs: 3\n")
    with pytest.raises(Exception, match="experiment/mine begins with a byte order mark") as refusal:
        Composer(Places.find(None, tmp_path)).compose(["experiment=mine"])
    assert str(refusal.value).endswith(
        "\n  where:    conf/experiment/mine.yaml\n  fix:      save it as UTF-8 without one"
    )


def test_what_an_option_brings_is_found_before_a_comment(tmp_path: Path) -> None:
    write(tmp_path, "model/mine.yaml", "defaults:\n  - mlp\n  - override /data@_global_.data: shapes  # drawn\n")
    (option,) = (
        option
        for group in groups(Places.find(None, tmp_path))
        if group.name == "model"
        for option in group.options
        if option.name == "mine"
    )
    assert option.brings == ("data=shapes",)
