"""L1 and L2 penalties: their value by hand, and an update with them against the gradient that torch finds."""

import copy
import csv
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from runner.config.schema import RunConfig
from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.execute import execute
from runner.training.loop import train_step
from runner.training.parts import Parts
from runner.training.penalties import Penalties
from runner.training.progress import Progress
from runner.training.signals import StopRequest
from runner.trust import Trust

NewRun = Callable[..., RunDirectory]
SMALL = ("model.hidden=[8]", "data.batch_size=100", "device=cpu", "tracking.tensorboard=false")


@pytest.fixture
def parts_of(new_run: NewRun, tmp_path: Path) -> Callable[..., Parts]:
    def build(*typed: str) -> Parts:
        run = new_run(*SMALL, "optimizer=sgd", "optimizer.lr=0.5", *typed)
        return assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))

    return build


def test_the_values_are_those_of_the_formulas() -> None:
    weights = [nn.Parameter(torch.tensor([[1.0, -2.0]])), nn.Parameter(torch.tensor([-3.0, 0.0]))]
    assert Penalties(weights, l1=0.5, l2=0.25).values() == {"l1": 0.5 * (1 + 2 + 3), "l2": 0.25 * (1 + 4 + 9)}
    assert Penalties(weights, l1=0.5, l2=0.0).values() == {"l1": 3.0}


def test_the_gradient_is_that_of_the_value_also_where_the_loss_has_none() -> None:
    weights = [nn.Parameter(torch.tensor([[1.0, -2.0]])), nn.Parameter(torch.tensor([-3.0, 0.0]))]
    weights[0].grad = torch.tensor([[10.0, 10.0]])
    Penalties(weights, l1=0.5, l2=0.25).add_gradient()
    assert weights[0].grad.tolist() == [[10 + 0.5 + 0.5 * 1, 10 - 0.5 - 0.5 * 2]]
    assert weights[1].grad is not None
    assert weights[1].grad.tolist() == [-0.5 - 0.5 * 3, 0.0]


def after_an_update(parts: Parts, accumulate: int, clip_norm: float | None = None) -> nn.Module:
    """The model after one update with this gradient of the loss and the penalties, by hand."""
    batches = list(islice(parts.splits.train.epoch(0), accumulate))
    by_hand = copy.deepcopy(parts.model).train()
    for group in parts.optimizer.param_groups:
        assert group["lr"] == 0.5
    inputs, targets = zip(*(parts.splits.prepare(batch, 0, training=True) for batch in batches), strict=True)
    loss = nn.functional.cross_entropy(by_hand(torch.cat([one for (one,) in inputs])), torch.cat(targets))
    penalised = [weight for weight in by_hand.parameters() if weight.ndim > 1]
    loss = loss + 0.1 * sum(weight.abs().sum() for weight in penalised)
    loss = loss + 0.2 * sum(weight.square().sum() for weight in penalised)
    loss.backward()
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(by_hand.parameters(), clip_norm)
    with torch.no_grad():
        for weight in by_hand.parameters():
            assert weight.grad is not None
            weight -= 0.5 * weight.grad
    train_step(parts, batches, Progress(), parts.new_scores(training=True))
    return by_hand


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_an_update_is_that_of_the_loss_plus_the_penalties_once_whatever_is_accumulated(
    precision: str, accumulate: int, clip_norm: float | None, parts_of: Callable[..., Parts]
) -> None:
    parts = parts_of(
        *("regularization.l1=0.1", "regularization.l2=0.2", "regularization.norms_and_biases=false"),
        *(f"training.accumulate={accumulate}", f"device.precision={precision}"),
        f"regularization.clip_norm={'null' if clip_norm is None else clip_norm}",
    )
    by_hand = after_an_update(parts, accumulate, clip_norm)
    assert (parts.scaler is not None) is (precision == "fp16")
    atol = 1e-6 if precision == "fp32" else 5e-3
    for ours, theirs in zip(parts.model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=atol)


def test_under_sgd_an_l2_penalty_is_a_weight_decay_of_twice_its_size(parts_of: Callable[..., Parts]) -> None:
    penalised, decayed = parts_of("regularization.l2=0.05"), parts_of("optimizer.weight_decay=0.1")
    for parts in (penalised, decayed):
        for batch in islice(parts.splits.train.epoch(0), 3):
            train_step(parts, [batch], Progress(), parts.new_scores(training=True))
    for one, other in zip(penalised.model.parameters(), decayed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_loss_is_shown_without_the_penalties_which_have_columns_of_their_own(new_run: NewRun) -> None:
    """One update: the loss of the first weights, the penalties of those after it."""
    rows = {}
    for name, typed in {"plain": (), "penalised": ("regularization=[l1,l2]", "regularization.l1=0.001")}.items():
        run = new_run(*SMALL, "max_steps=1", "training.test=false", *typed)
        assert execute(run, Trust((), everything=True), StopRequest()).exit_code == 0
        rows[name] = next(csv.DictReader(run.metrics_file.read_text().splitlines()))
    assert rows["penalised"]["train/loss"] == rows["plain"]["train/loss"]
    assert "train/l1" not in rows["plain"]
    weights = read_checkpoint(run.checkpoints / "last.pt")["model"].values()
    assert float(rows["penalised"]["train/l1"]) == pytest.approx(
        0.001 * sum(weight.abs().sum().item() for weight in weights)
    )
    assert float(rows["penalised"]["train/l2"]) == pytest.approx(
        0.0001 * sum(weight.square().sum().item() for weight in weights)
    )
