"""Putting files and overrides together: as Hydra does it, whatever was put together before."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from runner.config.files import ConfigFiles
from runner.config.paths import Places
from runner.config.search import CONFIG_NAME

TYPED = [
    [],
    ["optimizer.lr=0.5"],
    ["model=lenet", "optimizer.lr=0.25", "optimizer=sgd"],
    ["optimizer=sgd", "optimizer.lr=0.25"],
    ["regularization=[dropout,l2]", "epochs=3"],
    ["optimizer={lr: 0.125}"],
    ["+model.own={a: 1, b: [1, 2]}", "++model.own.a=2"],
    ["~optimizer.lr"],
    ["~scheduler"],
    ["model.hidden=[1,2]", "model.hidden=[3]"],
    ["experiment=quickstart", "model.hidden=[3]"],
    ["name='a=b, c'", "tracking.images=0"],
]


def without_hydra(config: DictConfig) -> str:
    return OmegaConf.to_yaml(OmegaConf.masked_copy(config, [key for key in map(str, config) if key != "hydra"]))


def told(act: Callable[[], DictConfig]) -> str:
    """The configuration, or what Hydra says of a mistake."""
    try:
        return without_hydra(act())
    except HydraException as error:
        return f"{type(error).__name__}: {error}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ConfigFiles:
    return ConfigFiles(Places.find(None, tmp_path_factory.mktemp("empty")))


@pytest.mark.parametrize("typed", TYPED, ids=" ".join)
def test_files_and_overrides_are_put_together_as_hydra_does(files: ConfigFiles, typed: list[str]) -> None:
    whole = told(lambda: files.loader.load_configuration(CONFIG_NAME, overrides=typed, run_mode=RunMode.RUN))
    assert told(lambda: files.load(typed)) == whole


def test_what_was_put_together_before_changes_nothing(tmp_path: Path) -> None:
    alone = [told(partial(ConfigFiles(Places.find(None, tmp_path)).load, typed)) for typed in TYPED]
    used = ConfigFiles(Places.find(None, tmp_path))
    used.load([])["seed"] = 12345  # whoever has a configuration may change it
    assert [told(partial(used.load, typed)) for typed in [*TYPED, *reversed(TYPED)]] == [*alone, *reversed(alone)]


def test_several_values_are_refused_where_one_run_is_asked_for(files: ConfigFiles) -> None:
    with pytest.raises(HydraException, match="Ambiguous value"):
        files.load(["seed=1,2"])


def test_files_of_another_folder_are_found(files: ConfigFiles, tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "own.yaml").write_text("_target_: torch.optim.SGD\nlr: 0.75\n")
    assert files.load([f"hydra.searchpath=[{tmp_path}]", "optimizer=own"]).optimizer.lr == 0.75
