"""Batch normalisation over the samples of all processes. Torch has it for GPUs; this is the same for the CPU.

N: samples of a process, C: channels.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(model: nn.Module, device: torch.device) -> None:
    """Have every batch normalisation in a model be over all processes; names and values stay what they are.

    Args:
        model: Is changed; not itself a layer of batch normalisation.
        device: Where it will be.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.__class__ = SyncBatchNorm


class SyncBatchNorm(_BatchNorm):
    """``nn.SyncBatchNorm`` for the CPU, of inputs with any number of axes behind the channels."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  # torch's name
        return None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Inputs (N, C, ...) normalised by the mean and variance over all processes; in eval mode as without them."""
        if not self.training:
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        count = _Summed.apply(values.new_tensor(input.numel() // input.shape[1]))
        mean = _Summed.apply(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance = _Summed.apply(centred.square().sum(axes)) / count
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        normalised_like_input: Tensor = normalised.to(input.dtype)
        return normalised_like_input

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Summed(torch.autograd.Function):
    """The sum over all processes. What it is used for in any of them has a gradient in all of them."""

    @staticmethod
    def forward(context: Any, mine: Tensor) -> Tensor:
        """A tensor of one shape everywhere."""
        total = mine.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """The sum of the gradients of all processes."""
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
