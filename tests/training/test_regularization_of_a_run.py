"""What options of regularization do in a run: when it stops, what is evaluated, how far weights move, its layers."""

import csv
from collections.abc import Callable

import pytest
import torch
from torch import nn

from runner.config.schema import RunConfig
from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.execute import execute
from runner.training.parts import Parts
from runner.training.signals import StopRequest
from runner.trust import Trust

NewRun = Callable[..., RunDirectory]
SMALL = ("model.hidden=[8]", "device=cpu", "tracking.tensorboard=false", "tracking.progress=false")


def assembled(run: RunDirectory) -> Parts:
    return assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=run.path / "assembled.log"))


def rows(run: RunDirectory) -> list[dict[str, str]]:
    """The rows of ``metrics.csv`` after the run: one an epoch, and that of the test."""
    assert execute(run, Trust((), everything=True), StopRequest()).exit_code == 0
    return list(csv.DictReader(run.metrics_file.read_text().splitlines()))


def loss_by_hand(run: RunDirectory, weights: dict[str, torch.Tensor], split: str) -> float:
    """The cross entropy of a split with these weights."""
    parts = assembled(run)
    parts.model.load_state_dict(weights)
    data = getattr(parts.splits, split)
    assert data is not None
    inputs, targets = parts.splits.prepare(data.first(1000))
    return nn.functional.cross_entropy(parts.model.eval()(*inputs), targets).item()


@pytest.mark.parametrize("min_delta", [0.0, 0.05])
def test_early_stopping_waits_for_its_patience_and_tests_the_best_epoch(new_run: NewRun, min_delta: float) -> None:
    run = new_run(
        *(*SMALL, "epochs=60", "optimizer.lr=0.05", "monitor=val/loss", "regularization=early_stopping"),
        *("regularization.early_stopping.patience=3", f"regularization.early_stopping.min_delta={min_delta}"),
    )
    *epochs, test = rows(run)
    losses = [float(row["val/loss"]) for row in epochs]
    counted, waited, stopped_after = float("inf"), 0, 0
    for loss in losses:
        stopped_after += 1
        counted, waited = (loss, 0) if loss < counted - min_delta else (counted, waited + 1)
        if waited == 3:
            break
    assert len(losses) == stopped_after < 60
    best = losses.index(min(losses)) + 1
    assert int(test["epoch"]) == best
    weights = read_checkpoint(run.checkpoints / "best.pt")["model"]
    assert float(test["test/loss"]) == pytest.approx(loss_by_hand(run, weights, "test"), rel=1e-5)


def test_with_an_average_of_the_weights_the_figures_are_those_of_the_average(new_run: NewRun) -> None:
    run = new_run(*SMALL, "epochs=1", "optimizer.lr=0.05", "regularization=ema")
    epoch, test = rows(run)
    saved = read_checkpoint(run.checkpoints / "last.pt")
    average = {name.removeprefix("module."): value for name, value in saved["averaged"].items() if "." in name}
    assert float(epoch["val/loss"]) == pytest.approx(loss_by_hand(run, average, "val"), rel=1e-5)
    assert float(test["test/loss"]) == pytest.approx(loss_by_hand(run, average, "test"), rel=1e-5)
    assert loss_by_hand(run, saved["model"], "val") != pytest.approx(float(epoch["val/loss"]), rel=1e-2)


def test_a_long_gradient_moves_the_weights_by_the_norm_that_it_is_cut_to(new_run: NewRun) -> None:
    run = new_run(
        *(*SMALL, "max_steps=1", "training.test=false", "optimizer=sgd", "optimizer.lr=0.5"),
        *("regularization=clip", "regularization.clip_norm=0.01"),
    )
    before = {name: value.clone() for name, value in assembled(run).model.state_dict().items()}
    rows(run)
    after = read_checkpoint(run.checkpoints / "last.pt")["model"]
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
    assert moved.norm().item() == pytest.approx(0.5 * 0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("option", "normalising", "dropped"),
    [("none", True, 0.0), ("batch_norm", True, 0.0), ("no_batch_norm", False, 0.0), ("dropout", True, 0.5)],
)
def test_layers_are_those_that_the_option_says(option: str, normalising: bool, dropped: float, new_run: NewRun) -> None:
    layers = list(assembled(new_run("model=convnet", "device=cpu", f"regularization=[{option}]")).model.modules())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in layers) is normalising
    assert max((layer.p for layer in layers if isinstance(layer, nn.Dropout)), default=0.0) == dropped
