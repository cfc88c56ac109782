"""An activation with a backward pass of its own."""

import pytest
import torch

from runner.models.activation import make_activation
from runner.models.squareplus import SquareplusFunction


def test_the_values_are_those_of_the_formula():
    x = torch.tensor([-1.5, 0.0, 1.5, 3.75])  # x ** 2 + 4 is 2.5 ** 2, 2 ** 2, 2.5 ** 2 and 4.25 ** 2
    assert make_activation("squareplus")(x).tolist() == [0.5, 1.0, 2.0, 4.0]


def test_the_gradient_is_that_of_finite_differences_and_so_is_its_gradient():
    x = torch.linspace(-5, 5, 11, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(SquareplusFunction.apply, x)
    assert torch.autograd.gradgradcheck(SquareplusFunction.apply, x)


@pytest.mark.parametrize("value", [-1e6, -3e4, 3e4, 1e6])
def test_far_from_zero_nothing_cancels_or_overflows(value):
    x = torch.tensor([value], requires_grad=True)
    result = SquareplusFunction.apply(x)
    result.sum().backward()
    exact = value if value > 0 else -1 / value
    assert result.item() == pytest.approx(exact, rel=1e-6)
    assert x.grad.item() == pytest.approx(float(value > 0), abs=1e-6)


def test_half_precision_stays_half_and_finite():
    x = torch.tensor([-300.0, 300.0], dtype=torch.float16, requires_grad=True)
    result = SquareplusFunction.apply(x)
    result.sum().backward()
    assert result.dtype == x.grad.dtype == torch.float16
    assert result.tolist() == pytest.approx([1 / 300, 300], rel=1e-3)


def test_only_its_input_is_kept_for_the_backward_pass():
    kept = []

    def note(tensor):
        kept.append(tensor)
        return tensor

    x = torch.rand(5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        SquareplusFunction.apply(x)
    assert [tensor.data_ptr() for tensor in kept] == [x.data_ptr()]
