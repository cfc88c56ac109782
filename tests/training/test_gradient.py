"""The gradient of a batch, and which batches are compiled."""

import pytest
import torch
from torch import Tensor, nn

from runner.training.gradient import Compiled


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
