"""L1 and L2 penalties: added to what is minimised, once an update."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from runner.parallel.pieces import whole


class Penalties:
    """``l1 * sum(|w|) + l2 * sum(w ** 2)`` over some weights.

    Its gradient is added by its formula, ``l1 * sign(w) + 2 * l2 * w``, to that of the loss: after all micro-batches of
    an update, when gradients are no longer scaled, and before they are clipped.

    Args:
        weights: Each once.
        l1: 0 or more.
        l2: 0 or more. Under plain SGD it does what a weight decay of twice its size does.
    """

    def __init__(self, weights: Sequence[nn.Parameter], l1: float, l2: float) -> None:
        self._weights = list(weights)
        self._l1 = l1
        self._l2 = l2

    @torch.no_grad()
    def add_gradient(self) -> None:
        """Add the gradient of the penalties to that of each weight."""
        for weight in self._weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        weights: list[Tensor] = list(self._weights)
        if self._l1:
            torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=self._l1)
        if self._l2:
            torch._foreach_add_(gradients, weights, alpha=2 * self._l2)

    @property
    def names(self) -> list[str]:
        """Of the penalties that are not 0 by setting."""
        return [name for name, factor in (("l1", self._l1), ("l2", self._l2)) if factor]

    @torch.no_grad()
    def values(self) -> dict[str, float]:
        """The penalties as the weights are, by name; those that are 0 by setting are left out. Waits for the device."""
        found = {}
        if self._l1:
            found["l1"] = self._l1 * sum(whole(weight.abs().sum()).item() for weight in self._weights)
        if self._l2:
            found["l2"] = self._l2 * sum(whole(weight.square().sum()).item() for weight in self._weights)
        return found
