"""Averaged weights: what they are, and that they are what is evaluated."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from runner.training.averaging import MovingAverage


def test_the_average_moves_by_one_minus_decay_of_the_difference_after_it_starts_at_the_first_update() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, decay=0.75)
    values = [2.0, 6.0, 10.0]
    for value in values:
        model.weight.data.fill_(value)
        average.update_parameters(model)
    # 2, then 0.75 * 2 + 0.25 * 6 = 3, then 0.75 * 3 + 0.25 * 10
    assert average.module.weight.item() == 0.75 * 3 + 2.5


def test_it_is_the_average_that_torch_takes_buffers_and_counters_included() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    torchs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    ours = MovingAverage(model, 0.9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        model(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
        torchs.update_parameters(model)
        ours.update_parameters(model)
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict(), rtol=0, atol=0)
