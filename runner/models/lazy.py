"""Layers whose size depends on the data."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@torch.no_grad()
def materialise(model: nn.Module, samples: Sequence[Tensor]) -> None:
    """Give lazy layers (``nn.LazyLinear`` and the like) their size, and first weights from torch's generator.

    A forward pass in eval mode: nothing is dropped at random and no running mean moves. A model without lazy layers is
    left alone.

    Args:
        model: On the device of the samples.
        samples: The inputs of two samples.
    """
    if not any(is_lazy(tensor) for tensor in [*model.parameters(), *model.buffers()]):
        return
    was_training = model.training
    model.eval()(*samples)
    model.train(was_training)
