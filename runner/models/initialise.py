"""Drawing the first weights of a model anew, by rules that name layer types and layers."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, TypedDict, TypeVar

from torch import Tensor, nn

from runner.errors import UserError, listing, nearest

_Found = TypeVar("_Found")

METHODS: dict[str, Callable[..., Tensor]] = {
    "constant": nn.init.constant_,
    "uniform": nn.init.uniform_,
    "normal": nn.init.normal_,
    "truncated_normal": nn.init.trunc_normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
    "sparse": nn.init.sparse_,
    "eye": nn.init.eye_,
    "dirac": nn.init.dirac_,
}

LAYERS: dict[str, type[Any]] = {
    "Linear": nn.Linear,
    "Conv1d": nn.Conv1d,
    "Conv2d": nn.Conv2d,
    "Conv3d": nn.Conv3d,
    "ConvTranspose1d": nn.ConvTranspose1d,
    "ConvTranspose2d": nn.ConvTranspose2d,
    "ConvTranspose3d": nn.ConvTranspose3d,
}


class Rule(TypedDict):
    """Which layers are filled, and with what.

    Attributes:
        layers: Names of ``LAYERS``; subclasses count.
        names: Shell patterns; a layer is meant when its dotted name, as in ``named_modules()``, matches one of them.
        weight: ``{"method": a name of METHODS, ...its arguments}``; None leaves the weights as they are.
        bias: The value of all biases; None leaves them as they are.
    """

    layers: Sequence[str]
    names: Sequence[str]
    weight: Mapping[str, Any] | None
    bias: float | None


def initialise(model: nn.Module, rules: Mapping[str, Rule]) -> None:
    """Fill weights and biases in place, rule by rule; where two rules mean the same layer, the later one decides.

    The arguments of a method and their defaults are those of the ``torch.nn.init`` function behind it; random numbers
    come from torch's global generator. For a transposed convolution torch exchanges fan_in and fan_out, because its
    weight is (in, out, ...), and takes no account of the stride.

    Args:
        model: Its lazy modules must have been materialised.
        rules: By a name that messages use. Without any, the weights stay as torch made them.

    Raises:
        UserError: If a rule names an unknown method or layer type, gives arguments that the method does not take, means
            no layer of this model, or asks for what the shape of a weight does not allow.
    """
    for rule_name, rule in rules.items():
        where = f"init.{rule_name}"
        fill = _filler(rule["weight"], f"{where}.weight")
        for name, layer in _layers_meant(model, rule, where):
            try:
                fill(layer.weight)
            except (TypeError, ValueError) as error:
                raise UserError(
                    f"{where}.weight cannot fill {name}.weight of shape {tuple(layer.weight.shape)}: {error}",
                    fix=f"another method, or {where}.layers without {type(layer).__name__}",
                ) from error
            if rule["bias"] is not None and layer.bias is not None:
                nn.init.constant_(layer.bias, rule["bias"])


def _layers_meant(model: nn.Module, rule: Rule, where: str) -> list[tuple[str, Any]]:
    types = tuple(_look_up(name, LAYERS, f"{where}.layers") for name in rule["layers"])
    of_types = [(name, module) for name, module in model.named_modules() if isinstance(module, types)]
    layers = [entry for entry in of_types if any(fnmatchcase(entry[0], pattern) for pattern in rule["names"])]
    if not layers:
        there = [name for name, _ in of_types]
        raise UserError(
            f"{where} means no layer of this model",
            where=f"layers of these types: {listing(there) or 'none'}",
            expected=f"a layer of type {listing(rule['layers'])} with a name like {listing(rule['names'])}",
            nearest=next((close for pattern in rule["names"] if (close := nearest(pattern, there))), None),
        )
    return layers


def _filler(spec: Mapping[str, Any] | None, where: str) -> Callable[[Tensor], Tensor]:
    """The method with its arguments bound, to be called with a weight."""
    if spec is None:
        return lambda weight: weight
    method = _look_up(spec["method"], METHODS, f"{where}.method")
    arguments = {name: value for name, value in spec.items() if name != "method"}
    signature = inspect.signature(method)
    try:
        signature.bind(None, **arguments)
    except TypeError as error:
        accepted = [name for name in signature.parameters if name not in ("tensor", "generator")]
        strange = next((name for name in arguments if name not in accepted), "")
        raise UserError(
            f"{where}: {error} for method={spec['method']}",
            expected=listing(accepted) or "no settings",
            nearest=nearest(strange, accepted),
        ) from error
    return partial(method, **arguments)


def _look_up(name: str, table: Mapping[str, _Found], where: str) -> _Found:
    if name not in table:
        raise UserError(f"{where}={name} is not known", expected=listing(table), nearest=nearest(name, table))
    return table[name]
