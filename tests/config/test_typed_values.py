"""Values as people type them: what is taken, and what a refusal says."""

from pathlib import Path
from typing import Any

import pytest

from runner.config.compose import Composer
from runner.config.flags import parse
from runner.config.paths import Places
from runner.config.typed import QUOTING
from runner.errors import UserErrors


def told(folder: Path, *typed: str) -> str:
    with pytest.raises(UserErrors) as refusal:
        Composer(Places.find(None, folder)).compose(typed)
    return str(refusal.value)


def test_data_without_a_source_is_refused(tmp_path: Path) -> None:
    assert told(tmp_path, "data.source=null", "epochs=ten") == (
        "data.source=null is not valid\n  where:    data.source=null on the command line\n"
        "  expected: a node with keys of its own\n"
        "epochs=ten is not valid\n  where:    epochs=ten on the command line\n  expected: a whole number"
    )


def test_a_value_within_a_mapping_that_was_typed_is_told_with_what_was_typed(tmp_path: Path) -> None:
    assert "\n  where:    optimizer={lr: fast} on the command line\n" in told(tmp_path, "optimizer={lr: fast}")


def test_an_unknown_key_within_the_mapping_of_a_group_is_no_unknown_option(tmp_path: Path) -> None:
    assert told(tmp_path, "optimizer={lrr: 1}").startswith(
        "optimizer.lrr is not a setting of optimizer=adam\n  where:    optimizer={lrr: 1} on the command line\n"
    )


@pytest.mark.parametrize(
    ("typed", "fix"),
    [("name=42", """'name="42"'"""), ("name=1e3", """'name="1e3"'"""), ("run_dir=true", """'run_dir="true"'""")],
)
def test_a_number_where_a_text_is_meant_is_told_with_its_quotes(typed: str, fix: str, tmp_path: Path) -> None:
    assert told(tmp_path, typed).endswith(f"\n  fix:      {fix}")


def test_a_number_in_a_file_where_a_text_is_meant_is_told_with_its_quotes(tmp_path: Path) -> None:
    (tmp_path / "conf/experiment").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine.yaml").write_text("# @package _global_\nname: 42\n")
    assert told(tmp_path, "experiment=mine").endswith('\n  fix:      quotes around it: "42"')


def test_a_plus_where_a_key_is_there_already_is_told_to_be_left_out(tmp_path: Path) -> None:
    assert told(tmp_path, "+optimizer.lr=0.1") == "+optimizer.lr=0.1: it is there already\n  fix:      optimizer.lr=0.1"


def test_an_entry_behind_the_end_of_a_list_is_told_with_the_length(tmp_path: Path) -> None:
    assert told(tmp_path, "optimizer.betas.2=0.9").startswith(
        "optimizer.betas.2=0.9: optimizer.betas has 2 entries, counted from 0\n"
    )


def test_a_task_that_was_typed_is_not_told_as_that_of_the_data(tmp_path: Path) -> None:
    message = told(tmp_path, "task=segmentation")
    assert message.startswith(
        "model=mlp cannot do task=segmentation\n  where:    task=segmentation on the command line\n"
    )
    assert "\n  fix:      model=unet, or a task for" in message  # made for it; sequential would need other layers


@pytest.mark.parametrize("typed", ["device=gpu:0", "device=cuda:1"])
def test_a_gpu_with_its_number_is_not_taken_for_a_cpu(typed: str, tmp_path: Path) -> None:
    assert told(tmp_path, typed).endswith("\n  nearest:  cuda\n  fix:      device=cuda")


@pytest.mark.parametrize(
    "typed", [["output_root=~/runs", "data.cache_dir=~/kept"], ['output_root="~/runs"', "data={cache_dir: '~/kept'}"]]
)
def test_a_tilde_is_the_home_folder(typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = Composer(Places.find(None, tmp_path)).compose(parse(typed).overrides).config
    assert (config["output_root"], config["data"]["cache_dir"]) == ("/home/somebody/runs", "/home/somebody/kept")


def test_a_tilde_in_a_file_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    (tmp_path / "conf/experiment").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine.yaml").write_text(
        "# @package _global_\noutput_root: ~/runs\nname: half~/way\nadapt: {freeze: [~/a, '~b']}\n"
    )
    config = Composer(Places.find(None, tmp_path)).compose(["experiment=mine"]).config
    assert (config["output_root"], config["name"]) == ("/home/somebody/runs", "half~/way")
    assert config["adapt"]["freeze"] == ["/home/somebody/a", "~b"]


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [
        ("epochs=2e0", ("epochs",), 2),
        ("device.processes=1.0", ("device", "processes"), 1),
        ("model.hidden=[64.0,'32']", ("model", "hidden"), [64, 32]),
        ("tracking.graph=no", ("tracking", "graph"), False),
        ("optimizer.lr=1", ("optimizer", "lr"), 1.0),
        ("optimizer.betas=[0,0.5]", ("optimizer", "betas"), [0.0, 0.5]),
    ],
)
def test_a_value_is_kept_as_what_it_means(typed: str, key: tuple[str, ...], value: object, tmp_path: Path) -> None:
    found: Any = Composer(Places.find(None, tmp_path)).compose([typed]).config
    for part in key:
        found = found[part]
    assert repr(found) == repr(value)


def test_keys_stay_in_their_order(tmp_path: Path) -> None:
    config = Composer(Places.find(None, tmp_path)).compose(["+adapt.lr_factors={z*: 1, a*: 2}"]).config
    assert repr(config["adapt"]["lr_factors"]) == "{'z*': 1.0, 'a*': 2.0}"


@pytest.mark.parametrize("value", ["0.1,,0.2", "choice()", "[1,2", "rang(3)"])
def test_what_may_be_more_than_a_text_is_not_told_to_be_quoted_as_one(value: str, tmp_path: Path) -> None:
    assert told(tmp_path, f"optimizer.lr={value}").endswith(f"\n  fix:      {QUOTING}")


def test_a_function_that_does_not_exist_is_told_with_the_nearest(tmp_path: Path) -> None:
    message = told(tmp_path, "seed=rang(3)")
    assert message.startswith("seed=rang(3) cannot be read: there is no function rang\n  expected: bool, choice, ")
    assert "\n  nearest:  range\n" in message
