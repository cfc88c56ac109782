"""Schedules against torch's own, and against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runner.training.schedules import Constant, Cosine, Step, of_update


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


@given(steps_per_epoch=st.integers(1, 50), warmup_epochs=st.integers(1, 4))
def test_a_warm_up_takes_the_next_nth_of_the_rate_with_every_update(steps_per_epoch: int, warmup_epochs: int) -> None:
    schedule, num_warmup = Cosine(warmup_epochs, final=0.0), warmup_epochs * steps_per_epoch
    factors = [of_update(schedule, step, steps_per_epoch, 10) for step in range(num_warmup)]
    assert factors == pytest.approx([(step + 1) / num_warmup for step in range(num_warmup)])


@pytest.mark.parametrize("schedule", [Constant(), Step(epochs=1, gamma=0.1), Cosine(warmup_epochs=0, final=0.0)])
def test_a_rate_that_never_rises_is_that_of_the_beginning_of_the_update(schedule: Constant | Step | Cosine) -> None:
    for step in range(30):
        assert of_update(schedule, step, 3, 10) == schedule(step / 3, 10)


def test_no_update_has_a_rate_of_0() -> None:
    schedule = Cosine(warmup_epochs=1.5, final=0.0)
    assert min(of_update(schedule, step, 7, 10) for step in range(70)) > 0


def test_a_schedule_that_looks_rates_up_by_epoch_is_asked_for_no_epoch_after_the_last() -> None:
    table = [0.1, 1.0, 0.5]
    factors = [of_update(lambda epoch, epochs: table[int(epoch)], step, 3, 3) for step in range(9)]
    assert factors == [0.1] * 3 + [1.0] * 3 + [0.5] * 3
