"""Models of which each process has a part: PyTorch's FSDP2, and checkpoints that nobody needs to have as a whole."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.optim import Optimizer

from runner.errors import UserError
from runner.parallel.batch_norm import synchronise
from runner.parallel.group import Group
from runner.parallel.pieces import divided_like, is_divided, local
from runner.runs.checkpoints import SHARDS
from runner.runs.shards import described, digests, leaves, own_files, publish, put, read_shards, write_shards
from runner.training.averaging import MovingAverage
from runner.training.gradient import EagerGradient, Gradient
from runner.training.team import AveragedGradient, N

_SMALL = 8
"""A block has at most this part of all weights, if its layers allow it: so much has to be whole at one time."""


class Shards:
    """Each process has a piece of every weight, and of all that an optimizer keeps for it.

    Args:
        group: The processes.
        device: Of this one.
        sync_batch_norm: Whether batch normalisation is over all of them.
    """

    has_pieces = True

    def __init__(self, group: Group, device: torch.device, sync_batch_norm: bool) -> None:
        self.group = group
        self._device = device
        self._sync_batch_norm = sync_batch_norm
        self._mesh = init_device_mesh(device.type, (group.size,))

    def place(self, model: N) -> N:
        """Divide a model that lies in the memory of the CPU; at no time the device has more of it than a block."""
        net = model.module if isinstance(model, MovingAverage) else model
        if self._sync_batch_norm:
            synchronise(net, self._device)
        for block in blocks(net):
            fully_shard(block, mesh=self._mesh, reshard_after_forward=True)
        fully_shard(net, mesh=self._mesh, reshard_after_forward=True)
        return model

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model itself, which gathers the weights of a block when the block is called."""
        return model

    def gradient(self, eager: EagerGradient, wrapped: nn.Module) -> Gradient:
        """Adds up the gradients of all processes in the last backward pass before an update."""
        assert isinstance(wrapped, FSDPModule)

        def averaging(is_last: bool) -> AbstractContextManager[object]:
            wrapped.set_requires_gradient_sync(is_last)
            return nullcontext()

        return AveragedGradient(eager, self.group.size, averaging)

    def share_buffers(self, model: nn.Module) -> None:
        """Let the buffers of a model be those of the first process."""
        self.group.share(model.buffers())

    def save(self, state: dict[str, Any], folder: Path, step: int) -> dict[str, Any]:
        """Write the pieces into a folder of their own, which the rest names."""
        self._require_finite(state["model"], step)
        paths, pieces = {}, {}
        for path, value in leaves(state):
            if is_divided(value):
                name = ".".join(map(str, path))
                paths[name], pieces[name] = list(path), value
        called = self.group.of(0, f"step-{step:08d}-{secrets.token_hex(4)}{SHARDS}")
        draft = folder / f".{called}.tmp"
        if self.group.is_first:
            draft.mkdir(parents=True)
        self.group.wait()
        write_shards(draft, pieces, self.group.small)
        files = self.group.at_first(digests(draft, own_files(draft, self.group.rank)))
        if self.group.is_first:
            publish(draft, folder / called)
        rest: dict[str, Any] = _without(state, set(map(tuple, paths.values())))
        rest["shards"] = {"folder": called, "paths": paths, "files": {k: v for one in files for k, v in one.items()}}
        return rest

    def load(self, saved: Mapping[str, Any], current: dict[str, Any], optimizer: Optimizer) -> Mapping[str, Any]:
        """The pieces that are this process's, of a state that was saved in other pieces or as a whole."""
        state: dict[str, Any] = _without(
            {part: saved[part] for part in ("model", "averaged", "optimizer", "scaler")}, set()
        )
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        if "shards" not in saved:
            for path, value in list(leaves(state)):
                target = _target(path, current, weights)
                if target is not None and isinstance(value, Tensor) and value.shape == target.shape:
                    put(state, path, divided_like(target, value))
            return state
        record, pieces = saved["shards"], {}
        folder, files = Path(record["folder"]), record["files"]
        described_as = described(folder, files)
        for name, path in record["paths"].items():
            target = _target(path, current, weights)
            if target is not None:
                dtype = described_as[name].properties.dtype
                pieces[name] = target if path[0] != "optimizer" else torch.empty_like(target, dtype=dtype)
                put(state, path, pieces[name])
        read_shards(folder, pieces, files, self.group.small)
        return state

    def _require_finite(self, weights: Mapping[str, Tensor], step: int) -> None:
        wrong = [name for name, one in weights.items() if is_divided(one) and not local(one).isfinite().all()]
        found = [name for names in self.group.gathered(wrong) for name in names]
        if found:
            raise UserError(
                f"a weight is no longer finite after step {step}",
                where=found[0],
                expected="finite numbers; every checkpoint is from before that step",
                fix="a smaller optimizer.lr, regularization=[clip], or device.precision=fp32",
            )


def blocks(model: nn.Module) -> list[nn.Module]:
    """The layers, or groups of them, whose weights are gathered together, from the inside out.

    Each is a module that is called, and none is within another. What shares a weight with something outside of it is
    left to the whole model, as is what lies between them.
    """
    limit = _num_weights(model) // _SMALL
    found = list(_small_enough(model, limit))
    shared = _shared(model, found)
    return [block for block in found if not any(id(weight) in shared for weight in block.parameters())]


def _small_enough(module: nn.Module, limit: int) -> Iterator[nn.Module]:
    for child in module.children():
        is_called = type(child).forward is not nn.Module.forward
        has_smaller = any(map(_num_weights, child.children()))
        if is_called and (_num_weights(child) <= limit or not has_smaller):
            if _num_weights(child):
                yield child
        else:
            yield from _small_enough(child, limit)


def _shared(model: nn.Module, found: Sequence[nn.Module]) -> set[int]:
    """The weights that have a name outside of the block that they have another one in."""
    names = [id(weight) for _, weight in model.named_parameters(remove_duplicate=False)]
    within = [id(weight) for block in found for _, weight in block.named_parameters(remove_duplicate=False)]
    in_one = [{id(weight) for weight in block.parameters()} for block in found]
    return {
        weight
        for weight in within
        if names.count(weight) != within.count(weight) or sum(weight in ids for ids in in_one) > 1
    }


def _num_weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _target(path: Sequence[Any], current: Mapping[str, Any], weights: Sequence[Tensor]) -> Tensor | None:
    """The divided tensor that something saved belongs to: a weight, or that for which an optimizer keeps it."""
    part, *keys = path
    found: Any = None
    if part == "optimizer" and keys[0] == "state":
        found = weights[keys[1]]
    elif current.get(part) is not None:
        found = current[part].get(keys[0])
    return found if is_divided(found) else None


def _without(state: Any, paths: set[tuple[Any, ...]], path: tuple[Any, ...] = ()) -> Any:
    """A copy of nested dictionaries and lists without what is at some paths."""
    if isinstance(state, dict):
        return {k: _without(v, paths, (*path, k)) for k, v in state.items() if (*path, k) not in paths}
    if isinstance(state, list):
        return [_without(v, paths, (*path, number)) for number, v in enumerate(state)]
    return state
