"""Layers whose size depends on the data are whole before the optimizer is made."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from runner.config.schema import RunConfig
from runner.models.lazy import materialise
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.parts import Parts


@pytest.fixture
def parts_of(new_run: Callable[..., RunDirectory], tmp_path: Path) -> Callable[..., Parts]:
    def build(*typed: str) -> Parts:
        run = new_run("data.split.test=1640", "data.split.val=60", *typed)
        return assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))

    return build


def test_their_first_weights_are_those_that_the_seed_gives_to_layers_of_known_size(
    parts_of: Callable[..., Parts],
) -> None:
    parts = parts_of("model=sequential", "seed=3", "data.batch_size=7")
    torch.manual_seed(3)
    by_hand = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    for ours, theirs in zip(parts.model.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_optimizer_has_them(parts_of: Callable[..., Parts]) -> None:
    parts = parts_of("model=convnet1d", "model.widths=[3]")
    held = [id(weight) for group in parts.optimizer.param_groups for weight in group["params"]]
    assert held == [id(weight) for weight in parts.model.parameters()]
    assert parts.model.get_parameter("conv1.weight").shape == (3, 1, 5)


def test_an_initialisation_and_an_average_know_them(parts_of: Callable[..., Parts]) -> None:
    parts = parts_of("model=sequential", "init=constant", "init.all.weight.val=0.5", "regularization.ema.decay=0.9")
    assert (parts.model.get_parameter("1.weight") == 0.5).all()
    assert parts.averaged is not None
    assert parts.averaged.module.get_parameter("1.weight").shape == (128, 64)


def test_the_first_look_moves_no_running_mean_and_leaves_the_model_in_its_mode() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.BatchNorm1d(3), nn.Dropout())
    materialise(model, [torch.rand(2, 5) + 4])
    assert model.training
    assert isinstance(model[1].running_mean, torch.Tensor)
    assert not model[1].running_mean.any()
    assert model(torch.rand(4, 5)).shape == (4, 3)
