"""The gradient of a batch, and which batches are compiled."""

from collections.abc import Callable
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


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda outputs, targets: None, "loss: it gives None\n"),
        (lambda outputs, targets: 0.5, "loss: it gives a float\n"),
        (lambda outputs, targets: (outputs.mean(), targets), "loss: it gives a tuple\n"),
        (lambda outputs, targets: (outputs - targets).sum(1), r"loss: it gives a tensor of shape \(4,\)\n"),
        (lambda outputs, targets: outputs.detach().mean(), "loss: it gives a number without a gradient\n"),
    ],
    ids=["nothing", "a float", "a tuple", "a vector", "cut off"],
)
def test_a_loss_that_is_no_mean_with_a_gradient_is_named(
    loss: Callable[[Tensor, Tensor], Tensor], told: str, share: float
) -> None:
    model = nn.Linear(2, 3)
    gradient = EagerGradient(list(model.parameters()), model, loss, nullcontext, None)
    with pytest.raises(UserError, match=told):
        gradient.add(Micro((torch.rand(4, 2),), torch.rand(4, 3), share, True))


def test_what_else_goes_wrong_in_a_backward_pass_is_left_as_it_is() -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context: object, values: Tensor) -> Tensor:
            return values.clone()

        @staticmethod
        def backward(context: object, *gradients: Tensor) -> Tensor:
            raise ZeroDivisionError("the user's")

    model = nn.Linear(2, 3)
    gradient = EagerGradient(
        list(model.parameters()), model, lambda outputs, targets: Broken.apply(outputs).mean(), nullcontext, None
    )
    with pytest.raises(ZeroDivisionError, match="the user's"):
        gradient.add(Micro((torch.rand(4, 2),), torch.rand(4, 3), 1.0, True))
