"""Averaged weights: what they are, and that they are what is evaluated."""

import torch

from runner.training.model import averaged


def test_the_average_moves_by_one_minus_decay_of_the_difference_after_it_starts_at_the_first_update() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = averaged(model, decay=0.75)
    assert average is not None
    values = [2.0, 6.0, 10.0]
    for value in values:
        model.weight.data.fill_(value)
        average.update_parameters(model)
    # 2, then 0.75 * 2 + 0.25 * 6 = 3, then 0.75 * 3 + 0.25 * 10
    assert average.module.weight.item() == 0.75 * 3 + 2.5


def test_without_a_decay_nothing_is_averaged() -> None:
    assert averaged(torch.nn.Linear(1, 1), None) is None
