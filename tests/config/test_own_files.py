"""Mistakes in your own files that come of writing them as one types: told with what to write."""

from pathlib import Path

import pytest

from runner.config.compose import Composer
from runner.config.launching import launching
from runner.config.paths import Places
from runner.errors import UserErrors

GLOBAL = "# @package _global_\n"


def write(folder: Path, name: str, text: str) -> None:
    file = folder / "conf" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def told(folder: Path, *typed: str) -> str:
    with pytest.raises(UserErrors) as refusal:
        Composer(Places.find(None, folder)).compose(typed)
    return str(refusal.value)


def test_an_option_that_is_set_like_a_value_is_told_how_a_file_chooses_it(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", f"{GLOBAL}model: lenet\n")
    assert told(tmp_path, "experiment=mine") == (
        "model=lenet is not valid\n  where:    conf/experiment/mine.yaml\n  expected: a node with keys of its own\n"
        "  fix:      override /model: lenet in the defaults list of that file"
    )


def test_a_key_with_points_is_told_as_it_is_written_in_a_file(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", f"{GLOBAL}data.split.val: 0.2\n")
    assert told(tmp_path, "experiment=mine") == (
        "data.split.val is a key of a command line\n  where:    conf/experiment/mine.yaml\n"
        "  fix:      data: {split: {val: 0.2}} in a file"
    )


def test_what_hydra_says_in_its_second_line_is_told(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", f"{GLOBAL}hydra: {{jobb: 1}}\n")
    assert "raised while composing config: Key 'jobb' not in 'HydraConf'" in told(tmp_path, "experiment=mine")


@pytest.mark.parametrize(
    ("file", "text", "typed"),
    [
        ("hydra/launcher/mine.yaml", "defaults: [slurm]\npartion: gpu\n", "hydra/launcher=mine"),
        ("experiment/mine.yaml", f"{GLOBAL}hydra: {{sweeper: {{seedz: 2}}}}\n", "experiment=mine"),
    ],
)
def test_a_mistake_in_the_settings_of_a_sweep_is_told_with_its_file(
    file: str, text: str, typed: str, tmp_path: Path
) -> None:
    write(tmp_path, file, text)
    with pytest.raises(UserErrors, match=f"\n  where:    conf/{file}\n"):
        launching(Composer(Places.find(None, tmp_path)), [typed])
