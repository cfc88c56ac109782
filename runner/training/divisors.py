"""What the mean of a loss over a batch divides by, where that is not the number of samples.

Whoever puts the means of several batches together, an update of several micro-batches or the figure of a split, weighs
each by it, and so gets the mean over all of their samples.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from runner.data.source import Lazy
from runner.losses import OF_CLASSES, FocalLoss, WeightedSum

Divisor = Callable[[Tensor], Tensor]
"""Called with the targets of a batch on the device; a scalar, above 0 unless all targets are ignored."""


def divisor_of(loss_fn: object, targets: Tensor | Lazy) -> Divisor | None:
    """What a loss divides by; None: the number of samples, or always the same multiple of it.

    Cross entropy and NLL divide by the sum of the class weights of what counts, the focal loss by the number of it; a
    loss of the user's says so with a method ``divisor``. One number cannot weigh a sum of losses that divide by
    different things: such a sum is taken by the number of samples.

    Args:
        loss_fn: The loss.
        targets: Those of all samples, as they are stored. Where none is ignored, nothing has to be counted.
    """
    if isinstance(loss_fn, WeightedSum):
        first, *others = loss_fn.losses.values()
        return None if others else divisor_of(first, targets)
    if isinstance(loss_fn, OF_CLASSES):
        return _of_counted(loss_fn, targets)
    own: Divisor | None = getattr(loss_fn, "divisor", None)
    return own


def _of_counted(loss_fn: nn.CrossEntropyLoss | nn.NLLLoss | FocalLoss, targets: Tensor | Lazy) -> Divisor | None:
    weight = None if isinstance(loss_fn, FocalLoss) else loss_fn.weight
    if weight is None and not _may_ignore(loss_fn.ignore_index, targets):
        return None

    def divisor(targets: Tensor) -> Tensor:
        if targets.is_floating_point():  # (N, K) shares of classes: torch divides by N, whatever the weights
            return torch.full((), len(targets), device=targets.device)
        counts = targets != loss_fn.ignore_index
        return counts.sum() if weight is None else (weight[targets.where(counts, 0)] * counts).sum()

    return divisor


def _may_ignore(index: int, targets: Tensor | Lazy) -> bool:
    """Whether there can be such a target, which does not count. Masks, which may be many files, are not looked at."""
    if isinstance(targets, Tensor) and targets.ndim == 1:
        return bool((targets == index).any())
    return index >= 0  # a mask has no class below 0
