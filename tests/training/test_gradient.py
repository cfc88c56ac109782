"""The gradient of a batch, and which batches are compiled."""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runner.errors import UserError
from runner.training.gradient import Compiled, EagerGradient, Micro


def test_full_batches_are_compiled_and_smaller_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def compile_to_ones(model: nn.Module, **options: object) -> object:
        asked.update(options)
        return lambda inputs: torch.ones(len(inputs))

    monkeypatch.setattr(torch, "compile", compile_to_ones)

    class Zeros(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.zeros(len(inputs))

    model = Compiled(Zeros(), [64, 256])
    assert {size: model(torch.empty(size, 2)).sum().item() for size in (64, 256, 63, 1)} == {
        64: 64,
        256: 256,
        63: 0,
        1: 0,
    }
    assert asked == {"dynamic": False}, "code for any size is slower"


def test_a_last_batch_of_one_sample_is_told_where_batch_normalisation_cannot_take_it() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    gradient = EagerGradient(list(model.parameters()), model, F.mse_loss, nullcontext, None)
    with pytest.raises(UserError, match=r"in a training batch of 1 sample(.|\n)*fix: +data\.drop_last=true"):
        gradient.add(Micro((torch.rand(1, 2),), torch.rand(1, 3), 1.0, True))
