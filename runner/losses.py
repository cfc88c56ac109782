"""Losses that torch does not have.

A loss is a module called with (logits, targets) that returns the mean over the samples of the batch, so that the losses
of parts of a batch, weighed by their sizes, add up to that of the whole: gradient accumulation relies on it.

Shapes: N samples, K classes, ... the axes of an image.
"""

from collections.abc import Mapping
from typing import TypedDict

import torch
from torch import Tensor, nn


class DiceLoss(nn.Module):
    """One minus the Dice overlap of predicted and true masks, averaged over classes and samples.

    For the probabilities p of a class and its mask t of zeros and ones, with sums over the pixels of one sample::

        dice = (2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)

    Milletari, Navab, Ahmadi: V-Net, 3DV 2016, equation 3; departures: no squares in the denominator, several classes,
    and ``smooth``. Probabilities are the softmax over the classes, or the sigmoid where there is a single logit.

    Args:
        smooth: Added above and below, > 0, in pixels: 1 for a class that is neither there nor predicted.
        include_background: Count class 0 among the classes; a single logit has no background to count.
        ignore_index: Pixels with this target take no part. A value that no target has turns this off.
    """

    def __init__(self, *, smooth: float, include_background: bool, ignore_index: int) -> None:
        super().__init__()
        self.smooth = smooth
        self.include_background = include_background
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss in [0, 1].

        Args:
            logits: (N, K, ...), any floating type; half precision is summed in single.
            targets: (N, ...) class of each pixel, any integer type. With K = 1 the mask, of any type, may
                also have the shape of the logits.
        """
        num_classes = logits.shape[1]
        logits = logits.flatten(2).to(torch.promote_types(logits.dtype, torch.float32))  # (N, K, pixels)
        targets = targets.reshape(len(targets), 1, -1)  # (N, 1, pixels)
        valid = targets != self.ignore_index
        if num_classes == 1:
            probabilities, classes = logits.sigmoid(), torch.ones(1, device=logits.device)
        else:
            probabilities, classes = logits.softmax(dim=1), torch.arange(num_classes, device=logits.device)
        truth = (targets == classes.view(1, -1, 1)) & valid  # (N, K, pixels)
        overlap = (probabilities * truth).sum(dim=2)  # (N, K)
        size = (probabilities * valid).sum(dim=2) + truth.sum(dim=2)
        dice = (2 * overlap + self.smooth) / (size + self.smooth)
        if num_classes > 1 and not self.include_background:
            dice = dice[:, 1:]
        return 1 - dice.mean()


class Term(TypedDict):
    """One loss of a weighted sum."""

    weight: float
    loss: nn.Module


class WeightedSum(nn.Module):
    """Several losses of the same logits and targets, each times its weight.

    Args:
        terms: At least one, by name; a configuration changes one with ``loss.terms.NAME.weight=0.5``.
    """

    def __init__(self, *, terms: Mapping[str, Term]) -> None:
        super().__init__()
        self.weights = {name: term["weight"] for name, term in terms.items()}
        self.losses = nn.ModuleDict({name: term["loss"] for name, term in terms.items()})

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Whatever shapes the losses take, to a scalar."""
        weighted = [self.weights[name] * loss(logits, targets) for name, loss in self.losses.items()]
        return torch.stack(weighted).sum()
