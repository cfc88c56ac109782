"""Values as people type them: what is taken, and what a refusal says."""

from pathlib import Path

import pytest

from runner.config.compose import Composer
from runner.config.paths import Places
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


def test_a_task_that_was_typed_is_not_told_as_that_of_the_data(tmp_path: Path) -> None:
    message = told(tmp_path, "task=segmentation")
    assert message.startswith(
        "model=mlp cannot do task=segmentation\n  where:    task=segmentation on the command line\n"
    )
    assert "\n  fix:      model=unet, or a task for" in message  # made for it; sequential would need other layers
