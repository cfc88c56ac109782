"""The optimizer of a run, and which weights are held small."""

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn

from runner.build import build_a
from runner.errors import UserError
from runner.parallel.pieces import is_divided

_FUSED = {
    "torch.optim.SGD": ("cpu", "cuda"),
    "torch.optim.Adam": ("cpu", "cuda"),
    "torch.optim.AdamW": ("cpu", "cuda"),
    "torch.optim.Adagrad": ("cpu",),
}
"""Optimizers whose update torch can do in one pass over the weights, and on which devices."""

_FUSED_OF_PIECES = ("torch.optim.Adam", "torch.optim.AdamW")
"""Those for which it can even where each process has a piece of every weight."""

_CAPTURABLE = (
    "torch.optim.Adadelta",
    "torch.optim.Adam",
    "torch.optim.AdamW",
    "torch.optim.NAdam",
    "torch.optim.RAdam",
    "torch.optim.RMSprop",
)
"""Optimizers that can be told to leave nothing to Python that a CUDA graph would not repeat."""

_WAYS = ("fused", "foreach", "capturable")
"""Settings of how an optimizer computes, not of what."""

_NORMS = (
    nn.modules.batchnorm._NormBase,  # batch and instance norms
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def make_optimizer(
    node: dict[str, Any],
    model: nn.Module,
    device: torch.device,
    *,
    norms_and_biases: bool = True,
    lr_factors: Mapping[nn.Parameter, float] | None = None,
    for_graph: bool = False,
) -> torch.optim.Optimizer:
    """The optimizer of the weights that are trained, fused where torch can and the configuration does not say.

    Args:
        node: Of the configuration.
        model: On its device.
        device: Where it is.
        norms_and_biases: Whether weight decay is for them too; otherwise they come into a group without.
        lr_factors: On the learning rate of some weights, which come into groups of their own.
        for_graph: Whether its update is to be part of a CUDA graph, if it can.

    Raises:
        UserError: If there is nothing to train, the node is none of an optimizer that can be used, or there are factors
            and it gives no ``lr``.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise UserError(
            "model: it has no weight that is trained",
            expected="parameters that require a gradient; layers in a plain list are no part of a model, those in an "
            "nn.ModuleList are; adapt.freeze, where it is set, leaves some",
        )
    can = all(weight.is_floating_point() for weight in weights)
    if any(map(is_divided, weights)):
        can = can and node["_target_"] in _FUSED_OF_PIECES
    own = {"fused", "foreach", "differentiable"} & node.keys()
    if can and not own and device.type in _FUSED.get(node["_target_"], ()):
        node = {**node, "fused": True}
    if for_graph and node["_target_"] in _CAPTURABLE:
        node = {"capturable": True, **node}
    groups: list[Any] = weights
    if node.get("weight_decay") and not norms_and_biases:
        held = held_small(model, norms_and_biases=False)
        ids = {id(weight) for weight in held}
        others = [weight for weight in weights if id(weight) not in ids]
        both = ({"params": held}, {"params": others, "weight_decay": 0.0})
        groups = [group for group in both if group["params"]]
    if lr_factors:
        groups = _by_rate(groups, lr_factors, node.get("lr"))
    optimizer = build_a(
        torch.optim.Optimizer, node, groups, key="optimizer", expected="an optimizer: a torch.optim.Optimizer"
    )
    if any(one.default is Parameter.empty for one in signature(optimizer.step).parameters.values()):
        raise UserError(
            f"optimizer: {node['_target_']} computes the loss again within a step, by a closure that it is given",
            expected="an optimizer whose step takes nothing: the gradient is there when it is called",
            fix="optimizer=adamw",
        )
    # It would say that capturable costs time outside a graph, where a few updates are.
    optimizer._warned_capturable_if_run_uncaptured = True
    return optimizer


def is_capturable(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its update can be part of a CUDA graph that reads the learning rates from tensors."""
    is_sgd = type(optimizer) is torch.optim.SGD
    return all(group.get("capturable") or (is_sgd and group["fused"]) for group in optimizer.param_groups)


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Have an optimizer go on from a saved state, on its own device and in the ways of computing that suit it.

    What it keeps for a weight stays of the type that it was saved in. torch gives it that of the weight: a count would
    become a fraction, and a sum in float64 would be rounded.
    """
    own = [{way: group[way] for way in _WAYS if way in group} for group in optimizer.param_groups]
    groups = [saved | ways for saved, ways in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})
    numbers = [number for group in groups for number in group["params"]]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, weight in zip(numbers, weights, strict=True):
        kept = optimizer.state.get(weight, {})
        for name, saved in state["state"].get(number, {}).items():
            loaded = kept.get(name)
            if isinstance(saved, Tensor) and isinstance(loaded, Tensor) and loaded.dtype != saved.dtype:
                kept[name] = saved.to(loaded.device)


def _by_rate(groups: list[Any], factors: Mapping[nn.Parameter, float], lr: float | None) -> list[dict[str, Any]]:
    """The same weights, in groups whose learning rates are the factors times ``lr``; those of factor 1 come first."""
    if lr is None:
        raise UserError("adapt.lr_factors multiply on optimizer.lr, which is not set", fix="+optimizer.lr=0.001")
    whole = groups if isinstance(groups[0], dict) else [{"params": groups}]
    rates = sorted({1.0, *factors.values()}, key=lambda factor: (factor != 1, factor))
    divided = [
        {**group, "params": [weight for weight in group["params"] if factors.get(weight, 1.0) == rate], "lr": lr * rate}
        for rate in rates
        for group in whole
    ]
    return [group for group in divided if group["params"]]


def held_small(model: nn.Module, *, norms_and_biases: bool) -> list[nn.Parameter]:
    """The weights that penalties and weight decay are for, each once, in the order of the model.

    Args:
        model: Frozen weights do not count.
        norms_and_biases: Whether the scales and shifts of normalising layers and all biases are among them; without
            them, so are no other parameters of fewer than two axes, such as learnt factors.
    """
    spared = {
        id(weight)
        for layer in model.modules()
        for weight in layer.parameters(recurse=False)
        if isinstance(layer, _NORMS) or weight.ndim < 2
    }
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return weights if norms_and_biases else [weight for weight in weights if id(weight) not in spared]
