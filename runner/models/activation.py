"""Activation functions by name."""

from collections.abc import Callable
from functools import partial

from torch import nn

from runner.errors import UserError, listing, nearest
from runner.models.squareplus import Squareplus

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "squareplus": Squareplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "log_softmax": partial(nn.LogSoftmax, dim=1),  # over the classes: an output for loss=nll
    "identity": nn.Identity,
}


def make_activation(name: str) -> nn.Module:
    """A new module for the activation of that name, with torch's own settings.

    Raises:
        UserError: If the table has no such name.
    """
    if name not in ACTIVATIONS:
        raise UserError(
            f"there is no activation {name}", expected=listing(ACTIVATIONS), nearest=nearest(name, ACTIVATIONS)
        )
    return ACTIVATIONS[name]()
