"""Weights from elsewhere into a model, whatever either of them was wrapped in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from runner.errors import UserError, listing, nearest

_COMPILED = "_orig_mod."
_WRAPPED = "module."
_COUNTER = "n_averaged"


def load_weights(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    left_out: Sequence[str] = (),
    new_layers: Sequence[str] = (),
    fit: Callable[[Tensor, Tensor], Tensor] = lambda own, given: given,
) -> list[str]:
    """Copy weights into a model, name by name; give the names in the model that keep the values they had.

    What DataParallel and DistributedDataParallel (``module.``), torch.compile (``_orig_mod.``) and AveragedModel
    (``module.`` and ``n_averaged``) put around names is overlooked on both sides.

    Args:
        model: Bare or wrapped; on any device.
        weights: Parameters and buffers by name.
        left_out: Shell patterns of names that are not copied.
        new_layers: Layers that the weights need not have: such a layer is copied whole where it fits, and else keeps
            its values.
        fit: Gives what a weight of the model takes for a given one of its shape.

    Raises:
        UserError: With all names that are missing, unexpected or of another shape; nothing is copied then.
    """
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    ours, theirs = plain_names(state), plain_names(weights)
    for pattern in left_out:
        if not any(fnmatchcase(name, pattern) for name in (*ours, *theirs)):
            raise UserError(
                f"model.weights_except: no weight is called {pattern}",
                expected=listing(ours),
                nearest=nearest(pattern, ours),
            )
    shape = {name: tuple(state[actual].shape) for name, actual in ours.items()}
    shape_there = {name: tuple(weights[actual].shape) for name, actual in theirs.items()}
    skipped = {name for name in (*ours, *theirs) if any(fnmatchcase(name, pattern) for pattern in left_out)}
    for layer in new_layers:
        inside = {name for name in (*ours, *theirs) if name.startswith(f"{layer}.")}
        if any(shape.get(name) != shape_there.get(name) for name in inside - skipped):
            skipped |= inside
    missing = [name for name in ours if name not in theirs and name not in skipped and not _is_count(name)]
    unexpected = [name for name in theirs if name not in ours and name not in skipped]
    misshapen = [name for name in ours if name in theirs and name not in skipped and shape[name] != shape_there[name]]
    if missing or unexpected or misshapen:
        told = [f"{name} {shape_there[name]}, here {shape[name]}" for name in misshapen]
        raise _misfit(missing, unexpected, told, [*missing, *misshapen])
    copied = {name: actual for name, actual in ours.items() if name in theirs and name not in skipped}
    with torch.no_grad():
        model.load_state_dict(
            {
                **model.state_dict(),
                **{actual: fit(state[actual], weights[theirs[name]]) for name, actual in copied.items()},
            }
        )
    return [name for name in ours if name not in copied and not _is_count(name)]


def load_saved(model: nn.Module, weights: Mapping[str, Any] | None) -> None:
    """Give a model the state that was saved of it.

    Raises:
        UserError: If it is the state of another one.
    """
    if weights is None:
        raise _not_of_run("  it has no averaged weights, and the run averages them")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        ours = model.state_dict()
        shapes, saved = (
            {name: tuple(getattr(value, "shape", ())) for name, value in one.items()} for one in (ours, weights)
        )
        missing = [name for name in ours if name not in weights]
        unexpected = [name for name in weights if name not in ours]
        misshapen = [
            f"{name} {saved[name]}, here {shapes[name]}"
            for name in ours
            if shapes[name] != saved.get(name, shapes[name])
        ]
        raise _not_of_run(*_differences("checkpoint", missing, unexpected, misshapen)) from error


def _not_of_run(*told: str) -> UserError:
    return UserError(
        "\n".join(["the checkpoint does not fit to the model of the run", *told]),
        expected="a checkpoint of this run, and the code that it was trained with",
    )


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Names as they are, by the names that they have in the bare model."""
    plain = {name: name.replace(_COMPILED, "") for name in names}
    while True:
        inner = [name for name in plain if plain[name] != _COUNTER]
        if not inner or not all(plain[name].startswith(_WRAPPED) for name in inner):
            break
        plain = {name: plain[name].removeprefix(_WRAPPED) for name in inner}
    return {bare: name for name, bare in plain.items()}


def _is_count(name: str) -> bool:
    """Whether it is the counter of batch normalisation that files of old versions of torch lack."""
    return name.endswith("num_batches_tracked")


def _misfit(missing: list[str], unexpected: list[str], misshapen: list[str], unfilled: list[str]) -> UserError:
    lines = ["the weights do not fit to the model", *_differences("file", missing, unexpected, misshapen)]
    layers = dict.fromkeys(f"{name.rpartition('.')[0]}.*" if "." in name else name for name in unfilled)
    layers |= dict.fromkeys(f"{name.rpartition('.')[0]}.*" if "." in name else name for name in unexpected)
    few = f"model.weights_except=[{','.join(layers)}] to leave them out, or " if len(layers) <= 3 else ""
    return UserError("\n".join(lines), fix=f"{few}the settings of the model that the weights are from")


def _differences(where: str, missing: list[str], unexpected: list[str], misshapen: list[str]) -> list[str]:
    """A line for each way in which names and shapes differ."""
    found = (
        (f"missing from the {where}", missing),
        (f"unexpected in the {where}", unexpected),
        ("of another shape", misshapen),
    )
    return [f"  {what} ({len(names)}): {listing(names)}" for what, names in found if names]
