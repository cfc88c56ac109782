"""Schedules against torch's own, and against their formulas."""

import math

import pytest
import torch

from runner.training.schedules import Constant, Cosine, Step


def torch_rates(make: type, epochs: int, **settings: float) -> list[float]:
    """The learning rate of each epoch under one of torch's schedulers, from a rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **settings)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_constant_is_always_one() -> None:
    assert {Constant()(epoch, 10) for epoch in (0, 0.5, 9.9)} == {1.0}


def test_step_equals_torchs_at_whole_epochs() -> None:
    ours = [Step(epochs=3, gamma=0.5)(epoch, 10) for epoch in range(10)]
    assert ours == pytest.approx(torch_rates(torch.optim.lr_scheduler.StepLR, 10, step_size=3, gamma=0.5))


def test_cosine_equals_torchs_at_whole_epochs() -> None:
    ours = [Cosine(warmup_epochs=0, final=0.1)(epoch, 10) for epoch in range(10)]
    assert ours == pytest.approx(torch_rates(torch.optim.lr_scheduler.CosineAnnealingLR, 10, T_max=10, eta_min=0.1))


def test_warm_up_rises_linearly_and_the_cosine_takes_what_is_left() -> None:
    schedule = Cosine(warmup_epochs=2, final=0.0)
    assert [schedule(epoch, 10) for epoch in (0, 1, 2, 6, 10)] == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-12)


def test_a_rate_within_an_epoch_lies_on_the_curve() -> None:
    assert Cosine(warmup_epochs=0, final=0.0)(2.5, 10) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_after_the_planned_end_the_rate_stays() -> None:
    assert Cosine(warmup_epochs=0, final=0.2)(12, 10) == pytest.approx(0.2)
