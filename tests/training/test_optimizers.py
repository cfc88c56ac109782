"""Optimizers: what a run does with each against a plain torch loop, and which weights are held small."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from runner.config.schema import RunConfig
from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.lean_torch import plain_step
from runner.training.muon import Muon
from runner.training.optimizers import held_small, make_optimizer
from runner.training.parts import Parts

NewRun = Callable[..., RunDirectory]
Make = Callable[[nn.Module], list[torch.optim.Optimizer]]
STEPS = 6


@pytest.fixture
def parts_of(new_run: NewRun, tmp_path: Path) -> Callable[..., Parts]:
    def build(*typed: str) -> Parts:
        run = new_run("device=cpu", "data.batch_size=16", *typed)
        return assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))

    return build


def of_all(cls: type[torch.optim.Optimizer], **settings: Any) -> Make:
    """One optimizer of torch for all weights, as one writes it down by hand."""
    return lambda model: [cls(model.parameters(), foreach=False, **settings)]


def muon_and_adamw(model: nn.Module) -> list[torch.optim.Optimizer]:
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    others = [weight for weight in model.parameters() if weight.ndim != 2]
    return [
        torch.optim.Muon(matrices, lr=0.01, weight_decay=0.02, momentum=0.9, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=0.01, weight_decay=0.02, betas=(0.9, 0.999), foreach=False),
    ]


optim = torch.optim
BY_HAND: dict[str, tuple[list[str], Make]] = {
    "sgd": (["momentum=0.9", "nesterov=true"], of_all(optim.SGD, lr=0.01, momentum=0.9, nesterov=True)),
    "adam": (["weight_decay=0.1"], of_all(optim.Adam, lr=0.001, weight_decay=0.1)),
    "adamw": (["betas=[0.8,0.9]"], of_all(optim.AdamW, lr=0.001, betas=(0.8, 0.9), weight_decay=0.01)),
    "rmsprop": (["momentum=0.5"], of_all(optim.RMSprop, lr=0.001, alpha=0.99, momentum=0.5)),
    "adagrad": (["lr_decay=0.1"], of_all(optim.Adagrad, lr=0.01, lr_decay=0.1)),
    "nadam": (["weight_decay=0.1"], of_all(optim.NAdam, lr=0.002, momentum_decay=0.004, weight_decay=0.1)),
    "radam": (
        ["weight_decay=0.1", "decoupled_weight_decay=true"],
        of_all(optim.RAdam, lr=0.001, weight_decay=0.1, decoupled_weight_decay=True),
    ),
    "adadelta": (["rho=0.8"], of_all(optim.Adadelta, lr=1.0, rho=0.8, eps=1e-6)),
    "muon": (["lr=0.01", "momentum=0.9", "weight_decay=0.02"], muon_and_adamw),
}


def gradient(parts: Parts, model: nn.Module, step: int) -> None:
    """Leave the gradient of some of the training samples in the weights of a model."""
    batch = parts.splits.store.batch(np.arange(16 * step, 16 * step + 16))
    inputs, targets = parts.splits.prepare(batch)
    model.zero_grad()
    nn.functional.cross_entropy(model(*inputs), targets).backward()


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_every_optimizer_is_compared(shipped: set[str]) -> None:
    assert set(BY_HAND) == shipped


@pytest.fixture
def shipped() -> set[str]:
    return {file.stem for file in (Path(__file__).parents[2] / "conf" / "optimizer").glob("*.yaml")}


@pytest.mark.parametrize("name", BY_HAND)
def test_some_updates_are_those_of_a_plain_loop_also_when_it_is_taken_up_again(
    name: str, parts_of: Callable[..., Parts]
) -> None:
    typed, by_hand = BY_HAND[name]
    typed = [f"optimizer={name}", "model.hidden=[8]", *(f"optimizer.{text}" for text in typed)]
    parts, again = parts_of(*typed), parts_of(*typed)
    model = copy.deepcopy(parts.model)
    before = weights(model)
    optimizers = by_hand(model)
    for step in range(STEPS):
        if step == STEPS // 2:
            again.load_state_dict(copy.deepcopy(parts.state_dict()))
            parts = again
        factor = 1.0 if step < 4 else 0.5  # a schedule halves the rate
        for one in optimizers:
            for group in one.param_groups:
                group["lr"] *= factor
        gradient(parts, model, step)
        for one in optimizers:
            one.step()
        for group in parts.optimizer.param_groups:
            group["lr"] *= factor
        gradient(parts, parts.model, step)
        parts.descend()
    torch.testing.assert_close(weights(parts.model), weights(model), rtol=1e-5, atol=1e-6)
    assert (weights(model) - before).abs().max() > 1e-4


@pytest.mark.parametrize("name", BY_HAND)
def test_the_plain_step_of_each_is_its_step(name: str, parts_of: Callable[..., Parts]) -> None:
    one, other = parts_of(f"optimizer={name}", "model.hidden=[8]"), parts_of(f"optimizer={name}", "model.hidden=[8]")
    step = plain_step(one.optimizer)
    assert step != one.optimizer.step
    for number in range(3):
        gradient(one, one.model, number)
        gradient(other, other.model, number)
        step()
        other.optimizer.step()
    assert torch.equal(weights(one.model), weights(other.model))


def test_muon_leaves_convolutions_and_biases_to_adamw() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(2, 3))
    optimizer = Muon(model.parameters(), **MUON)
    matrices, others = optimizer.param_groups
    assert matrices["params"] == [model[1].weight]
    assert {id(weight) for weight in others["params"]} == {
        id(weight) for weight in model.parameters() if weight is not model[1].weight
    }


MUON: dict[str, Any] = {
    **{"lr": 0.01, "momentum": 0.9, "nesterov": True, "ns_steps": 5},
    **{"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
}


def test_muon_is_refused_where_there_is_no_matrix() -> None:
    with pytest.raises(UserError, match="optimizer=muon is for matrices"):
        Muon(nn.Conv2d(1, 2, 3).parameters(), **MUON)


def test_a_matrix_moves_by_the_size_that_adamw_moves_it() -> None:
    """Of an orthogonal step of rank 4, torch's own scale is 0.2 * sqrt(8), for a root mean square of 0.2."""
    layer = nn.Linear(8, 4, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    Muon(layer.parameters(), **MUON).step()
    moved = (layer.weight.detach() - before).square().mean().sqrt().item()
    assert moved == pytest.approx(0.01 * 0.2, rel=0.2)


# --- which weights are held small -------------------------------------------------------------------------------------


class Mixed(nn.Module):
    """A convolution with a norm, a linear layer, a learnt factor, a norm of two axes, and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.output, self.factor = nn.Linear(2, 3), nn.Parameter(torch.ones(()))
        self.wide = nn.LayerNorm([2, 2])
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def names(model: nn.Module, chosen: list[nn.Parameter]) -> list[str]:
    return [name for name, weight in model.named_parameters() if any(weight is one for one in chosen)]


def test_norms_biases_and_frozen_weights_can_be_spared() -> None:
    model = Mixed()
    assert names(model, held_small(model, norms_and_biases=False)) == ["conv.weight", "output.weight"]
    trained = [name for name, _ in model.named_parameters() if not name.startswith("frozen")]
    assert names(model, held_small(model, norms_and_biases=True)) == trained


def decays(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    by_id = {id(weight): group["weight_decay"] for group in optimizer.param_groups for weight in group["params"]}
    return {name: by_id[id(weight)] for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("target", ["torch.optim.SGD", "torch.optim.AdamW", "runner.training.muon.Muon"])
def test_weight_decay_can_spare_norms_and_biases(target: str) -> None:
    model = Mixed()
    node = {"_target_": target, "weight_decay": 0.1, **({**MUON, "weight_decay": 0.1} if "muon" in target else {})}
    cpu = torch.device("cpu")
    everything = decays(model, make_optimizer(node, model, cpu))
    assert set(everything.values()) == {0.1}
    spared = decays(model, make_optimizer(node, model, cpu, norms_and_biases=False))
    assert [name for name, decay in spared.items() if decay] == ["conv.weight", "output.weight"]
    assert spared.keys() == everything.keys()


def test_weight_decay_of_sgd_without_norms_and_biases_is_that_by_hand(parts_of: Callable[..., Parts]) -> None:
    typed = ("optimizer=sgd", "optimizer.lr=0.1", "optimizer.weight_decay=0.5", "model.hidden=[8]")
    parts = parts_of(*typed, "regularization.norms_and_biases=false")
    before = copy.deepcopy(parts.model)
    gradient(parts, parts.model, 0)
    gradient(parts, before, 0)
    parts.descend()
    for (name, now), then in zip(parts.model.named_parameters(), before.parameters(), strict=True):
        assert then.grad is not None
        decay = 0.0 if name.endswith("bias") else 0.5
        torch.testing.assert_close(now, then - 0.1 * (then.grad + decay * then))


def test_an_optimizer_that_needs_a_closure_is_refused_before_it_is_called() -> None:
    with pytest.raises(UserError, match=r"optimizer: torch\.optim\.LBFGS computes the loss again within a step"):
        make_optimizer({"_target_": "torch.optim.LBFGS", "lr": 0.1}, nn.Linear(2, 1), torch.device("cpu"))
