"""Squareplus, an activation with a backward pass of its own: an example of ``torch.autograd.Function``.

Barron: Squareplus: A softplus-like algebraic rectifier, 2021, https://arxiv.org/abs/2112.11687.
"""

from typing import Any

import torch
from torch import Tensor, nn

_B = 4.0  # the paper's b: with 4, the curvature at 0 is that of softplus, 1 / 4


class SquareplusFunction(torch.autograd.Function):
    """``(x + sqrt(x ** 2 + 4)) / 2``, elementwise.

    Left to autograd, the formula would keep four tensors of the size of x for the backward pass; this keeps x alone,
    and computes the slope, ``(1 + x / sqrt(x ** 2 + 4)) / 2``, anew. Half precision is computed in single.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """The values, of the shape and dtype of x."""
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        root = (exact.square() + _B).sqrt()
        # Below 0 the two terms cancel each other; (root + x) (root - x) = b gives the same without a difference.
        return torch.where(exact < 0, _B / 2 / (root - exact), (root + exact) / 2).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Keep what the backward pass needs."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        """The gradient of x; made of differentiable steps, so that it has a gradient itself."""
        (x,) = ctx.saved_tensors
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        slope = (1 + exact / (exact.square() + _B).sqrt()) / 2
        gradient: Tensor = grad_outputs[0] * slope.to(x.dtype)
        return gradient


class Squareplus(nn.Module):
    """The activation as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, any floating type."""
        result: Tensor = SquareplusFunction.apply(x)
        return result
