"""Schedules against torch's own, and against their formulas."""

import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import UserError
from runner.training.schedules import Constant, Cosine, Exponential, MultiStep, OneCycle, Plateau, Step, of_update


def torch_rates(make: type, epochs: int, **settings: Any) -> list[float]:
    """The learning rate of each epoch under one of torch's schedulers, from a rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **settings)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("given", [None, math.nan, math.inf, -0.5, "high"])
def test_what_is_no_factor_is_refused_with_where_it_came(given: object) -> None:
    def own(epoch: float, epochs: float) -> Any:
        return 1.0 if epoch < 2 else given

    assert of_update(own, 0, 4, 10) == 1.0
    with pytest.raises(UserError, match=rf"scheduler: function gives {given!r} after 2.5 of 10 epochs"):
        of_update(own, 10, 4, 10)


def test_a_factor_that_rounding_has_brought_below_0_is_taken() -> None:
    assert of_update(lambda epoch, epochs: -1e-17, 0, 4, 10) == -1e-17


def test_constant_is_always_one() -> None:
    assert {Constant()(epoch, 10) for epoch in (0, 0.5, 9.9)} == {1.0}


def test_step_equals_torchs_at_whole_epochs() -> None:
    ours = [Step(epochs=3, gamma=0.5)(epoch, 10) for epoch in range(10)]
    assert ours == pytest.approx(torch_rates(torch.optim.lr_scheduler.StepLR, 10, step_size=3, gamma=0.5))


def test_cosine_equals_torchs_at_whole_epochs() -> None:
    ours = [Cosine(warmup_epochs=0, final=0.1)(epoch, 10) for epoch in range(10)]
    assert ours == pytest.approx(torch_rates(torch.optim.lr_scheduler.CosineAnnealingLR, 10, T_max=10, eta_min=0.1))


def test_multistep_equals_torchs_at_whole_epochs() -> None:
    ours = [MultiStep(milestones=[2, 5, 5], gamma=0.5)(epoch, 10) for epoch in range(10)]
    assert ours == pytest.approx(torch_rates(torch.optim.lr_scheduler.MultiStepLR, 10, milestones=[2, 5, 5], gamma=0.5))


def test_exponential_equals_torchs_at_whole_epochs() -> None:
    ours = [Exponential(gamma=0.8)(epoch, 10) for epoch in range(10)]
    assert ours == pytest.approx(torch_rates(torch.optim.lr_scheduler.ExponentialLR, 10, gamma=0.8))


@pytest.mark.parametrize(("anneal", "name"), [("cosine", "cos"), ("linear", "linear")])
def test_one_cycle_passes_through_the_rates_of_torchs(anneal: Literal["cosine", "linear"], name: str) -> None:
    """Torch counts updates from 0 to 19: it is at the top at 0.3 * 20 - 1, and at the end at 19."""
    settings = {"max_lr": 1.0, "total_steps": 20, "div_factor": 10, "final_div_factor": 100, "cycle_momentum": False}
    theirs = torch_rates(torch.optim.lr_scheduler.OneCycleLR, 20, pct_start=0.3, anneal_strategy=name, **settings)
    schedule = OneCycle(rise=0.3, start=0.1, final=0.001, anneal=anneal)
    done = [0.3 * step / 5 if step <= 5 else 0.3 + 0.7 * (step - 5) / 14 for step in range(20)]
    assert [schedule(share * 8, 8) for share in done] == pytest.approx(theirs)


def test_one_cycle_may_only_rise_or_only_fall() -> None:
    assert OneCycle(rise=0, start=0.1, final=0.5, anneal="linear")(2, 4) == pytest.approx(0.75)
    assert OneCycle(rise=1, start=0.0, final=0.5, anneal="linear")(3, 4) == pytest.approx(0.75)


@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5, math.nan]), max_size=25),
    patience=st.integers(0, 3),
    min_delta=st.sampled_from([0.0, 0.1]),
    cooldown=st.integers(0, 2),
)
def test_plateau_equals_torchs(scores: list[float], patience: int, min_delta: float, cooldown: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=0.5,
        patience=patience,
        threshold=min_delta,
        threshold_mode="abs",
        cooldown=cooldown,
        min_lr=0.05,
        eps=0,
    )
    ours = Plateau(factor=0.5, patience=patience, min_delta=min_delta, cooldown=cooldown, final=0.05)
    for number, score in enumerate(scores):
        theirs.step(score)
        assert ours.after(scores[: number + 1]) == optimizer.param_groups[0]["lr"]


def test_plateau_by_hand() -> None:
    schedule = Plateau(factor=0.1, patience=1, min_delta=0.0, cooldown=0, final=0.0)
    scores = [0.5, 0.6, 0.6, 0.4, 0.7, 0.7, 0.7]  # two epochs in a row without a better one: after the 4th and the 7th
    rates = [schedule.after(scores[:epoch]) for epoch in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01])


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


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(),
        Step(epochs=1, gamma=0.1),
        MultiStep(milestones=[1.5, 4], gamma=0.1),
        Exponential(gamma=0.5),
        Cosine(warmup_epochs=0, final=0.0),
    ],
)
def test_a_rate_that_never_rises_is_that_of_the_beginning_of_the_update(
    schedule: Callable[[float, float], float],
) -> None:
    for step in range(30):
        assert of_update(schedule, step, 3, 10) == schedule(step / 3, 10)


def test_no_update_has_a_rate_of_0() -> None:
    schedule = Cosine(warmup_epochs=1.5, final=0.0)
    assert min(of_update(schedule, step, 7, 10) for step in range(70)) > 0


def test_a_schedule_that_looks_rates_up_by_epoch_is_asked_for_no_epoch_after_the_last() -> None:
    table = [0.1, 1.0, 0.5]
    factors = [of_update(lambda epoch, epochs: table[int(epoch)], step, 3, 3) for step in range(9)]
    assert factors == [0.1] * 3 + [1.0] * 3 + [0.5] * 3
