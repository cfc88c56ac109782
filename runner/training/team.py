"""The processes that train a model, one or several: where it lies, how it is called, and whose gradients count."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from runner.parallel.batch_norm import synchronise
from runner.parallel.group import Group
from runner.training.gradient import EagerGradient, Gradient, Micro, Result

N = TypeVar("N", bound=nn.Module)


class Team(Protocol):
    """The processes, and how they have the model among them."""

    has_pieces: bool
    """Whether a process has but a piece of every weight."""

    @property
    def group(self) -> Group | None:
        """What they tell each other through; None where there is one process."""
        ...

    def place(self, model: N) -> N:
        """Bring a model to where it is trained."""
        ...

    def wrap(self, model: nn.Module) -> nn.Module:
        """What is called in training in place of the model."""
        ...

    def gradient(self, eager: EagerGradient, wrapped: nn.Module) -> Gradient:
        """That of the samples of all processes, from one that computes it for those of this process."""
        ...

    def share_buffers(self, model: nn.Module) -> None:
        """Let the buffers of a model be those of the first process."""
        ...

    def save(self, state: dict[str, Any], folder: Path, step: int) -> dict[str, Any]:
        """Write down what of a state no process has as a whole, and give the rest, which says where that is.

        Args:
            state: Of the model and what trains it.
            folder: Of the checkpoints.
            step: Updates done.

        Raises:
            OSError: If that cannot be written.
            UserError: If a weight is not finite.
        """
        ...

    def load(self, saved: Mapping[str, Any], current: dict[str, Any], optimizer: Optimizer) -> Mapping[str, Any]:
        """What a process takes of a saved state, whoever saved it: that of one process, of several, of whatever number.

        Args:
            saved: As it was read.
            current: The states of model and averaged model as they are, which may be overwritten.
            optimizer: Of the model.
        """
        ...


class Alone:
    """One process, which has the whole model.

    Args:
        device: Its own.
    """

    has_pieces = False
    group = None

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def place(self, model: N) -> N:
        return model.to(self._device)

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    def gradient(self, eager: EagerGradient, wrapped: nn.Module) -> Gradient:
        return eager

    def share_buffers(self, model: nn.Module) -> None:
        return None

    def save(self, state: dict[str, Any], folder: Path, step: int) -> dict[str, Any]:
        return state

    def load(self, saved: Mapping[str, Any], current: dict[str, Any], optimizer: Optimizer) -> Mapping[str, Any]:
        return saved


class Replicas:
    """Each process has the whole model (PyTorch's DistributedDataParallel).

    Args:
        group: The processes.
        device: Of this one.
        sync_batch_norm: Whether batch normalisation is over all of them.
    """

    has_pieces = False

    def __init__(self, group: Group, device: torch.device, sync_batch_norm: bool) -> None:
        self.group = group
        self._device = device
        self._sync_batch_norm = sync_batch_norm

    def place(self, model: N) -> N:
        if self._sync_batch_norm:
            synchronise(model, self._device)
        return model.to(self._device)

    def wrap(self, model: nn.Module) -> DistributedDataParallel:
        # Looking for weights that a step does not use takes some time, and keeps torch from arranging its messages anew
        # after the first step: sums of three or more would then round differently after a resume.
        return DistributedDataParallel(
            model,
            device_ids=[self._device.index] if self._device.type == "cuda" else None,
            find_unused_parameters=True,
            gradient_as_bucket_view=True,
        )

    def gradient(self, eager: EagerGradient, wrapped: nn.Module) -> Gradient:
        """Adds up the gradients of all processes in the last backward pass before an update."""
        assert isinstance(wrapped, DistributedDataParallel)
        return AveragedGradient(eager, self.group.size, lambda is_last: nullcontext() if is_last else wrapped.no_sync())

    def share_buffers(self, model: nn.Module) -> None:
        """Let the buffers of a model be those of the first process. In training that is done before each step."""
        self.group.share(model.buffers())

    def save(self, state: dict[str, Any], folder: Path, step: int) -> dict[str, Any]:
        """All of it is whole."""
        return state

    def load(self, saved: Mapping[str, Any], current: dict[str, Any], optimizer: Optimizer) -> Mapping[str, Any]:
        """All of it is whole."""
        return saved


class AveragedGradient:
    """The gradient of the samples of all processes, which average theirs.

    Args:
        eager: Computes that of the samples of this process.
        size: How many processes there are.
        averaging: The context of a backward pass, told whether to average in it.
    """

    def __init__(
        self, eager: EagerGradient, size: int, averaging: Callable[[bool], AbstractContextManager[object]]
    ) -> None:
        self._eager = eager
        self._size = size
        self._averaging = averaging

    def clear(self) -> None:
        self._eager.clear()

    def add(self, micro: Micro) -> Result:
        with self._averaging(micro.is_last):  # so that the mean of all becomes their sum
            return self._eager.add(micro._replace(share=micro.share * self._size))
