"""Which weights are trained, and how fast, by shell patterns of their names."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from torch import nn

from runner.errors import UserError, listing, nearest

_Value = TypeVar("_Value")


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[nn.Module]:
    """Exclude weights from training; give the normalising layers that are to stay in eval mode because of it.

    Args:
        model: Changed in place.
        patterns: Shell patterns of the names of parameters. Batch normalisation all of whose weights are frozen, or
            whose ``weight`` would be meant if it had one, keeps its running statistics as well.

    Raises:
        UserError: If a pattern means no parameter, or nothing would be left to train.
    """
    for parameter in _meant(model, dict.fromkeys(patterns, True), "adapt.freeze"):
        parameter.requires_grad = False
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(
            f"adapt.freeze={listing(patterns)} leaves nothing to train", expected="patterns that leave some weights"
        )
    return [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase)
        and any(fnmatchcase(f"{name}.weight", pattern) for pattern in patterns)
        and not any(parameter.requires_grad for parameter in layer.parameters())
    ]


def lr_factors(model: nn.Module, factors: Mapping[str, float]) -> dict[nn.Parameter, float]:
    """The factor on the learning rate of each weight that a pattern means; of two patterns the later one decides.

    Raises:
        UserError: If a pattern means no parameter.
    """
    return _meant(model, factors, "adapt.lr_factors")


def _meant(model: nn.Module, by_pattern: Mapping[str, _Value], where: str) -> dict[nn.Parameter, _Value]:
    """The parameters whose names match a pattern, each with the value of the last such pattern."""
    found: dict[nn.Parameter, _Value] = {}
    parameters = dict(model.named_parameters())
    for pattern, value in by_pattern.items():
        matching = [parameter for name, parameter in parameters.items() if fnmatchcase(name, pattern)]
        if not matching:
            layers = [f"{name}.*" for name, _ in model.named_modules() if name]
            raise UserError(
                f"{where}: no weight is called {pattern}",
                expected=f"a name or a shell pattern of one: {listing(parameters, limit=8)}",
                nearest=nearest(pattern, [*layers, *parameters]),
            )
        found |= dict.fromkeys(matching, value)
    return found
