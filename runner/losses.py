"""Losses that torch does not have, or not as they are needed here.

A loss is a module called with (logits, targets) that returns a mean over the batch, so that the losses of parts of a
batch, weighed by what each divides by, add up to that of the whole: gradient accumulation relies on it. Where that is
not the number of samples, ``runner.training.divisors`` knows what it is.

Shapes: N samples, K classes, ... the axes of an image.
"""

from collections.abc import Mapping
from typing import TypedDict

import torch
from torch import Tensor, nn

from runner.errors import UserError


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


class NLLLoss(nn.NLLLoss):
    """Torch's negative log likelihood, for log-probabilities (N, K, ...) in any memory format.

    Torch's own has no gradient on the CPU for images that lie channels last.
    """

    def forward(self, log_probabilities: Tensor, targets: Tensor) -> Tensor:
        """A scalar, of targets (N, ...) int64."""
        return super().forward(log_probabilities.contiguous(), targets)


class FocalLoss(nn.Module):
    """Cross entropy that counts what the model is sure of and right about less: one class of several.

    For the probability p of the true class, the softmax of the logits, and the factor w of that class::

        loss = -w * (1 - p) ** gamma * log(p)

    averaged over the samples, or pixels, that count. Lin, Goyal, Girshick, He, Dollar: Focal Loss for Dense Object
    Detection, ICCV 2017, equation 5, with the softmax for their sigmoid. With gamma = 0 and no weights it is cross
    entropy. Weights are not divided by their sum, which is where cross entropy of torch differs.

    Args:
        gamma: 0 or more; the paper's best is 2.
        weight: A factor for each class; None: 1 each.
        ignore_index: Samples or pixels with this target do not count.
    """

    weight: Tensor | None

    def __init__(self, *, gamma: float, weight: Tensor | None, ignore_index: int) -> None:
        super().__init__()
        self.gamma = gamma
        self.ignore_index = ignore_index
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss, 0 or more; half precision is computed in single.

        Args:
            logits: (N, K, ...), any floating type.
            targets: (N, ...) int64, a class each; or (N, K) floating, the share of each class, as mixup gives it: then
                the loss is that of each class times its share.
        """
        log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
        losses = -(_one_minus_exp(log_p) ** self.gamma) * log_p  # (N, K, ...), as if each class were the true one
        if self.weight is not None:
            losses = losses * self.weight.view(-1, *[1] * (logits.ndim - 2))
        if targets.is_floating_point():
            return (losses * targets).sum(1).mean()
        counts = targets != self.ignore_index
        of_true = losses.gather(1, targets.where(counts, 0).unsqueeze(1)).squeeze(1)
        return (of_true * counts).sum() / counts.sum()


OF_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss, FocalLoss)
"""Losses whose targets are classes from 0, and which leave out those of their ``ignore_index``."""


class BinaryFocalLoss(nn.Module):
    """Binary cross entropy that counts what the model is sure of and right about less: yes or no, once or often.

    For the probability p of the true answer, which is the sigmoid of the logit for yes and the rest of 1 for no::

        loss = -a * (1 - p) ** gamma * log(p)

    averaged over all logits, with a = alpha for yes and 1 - alpha for no (Lin et al. 2017, equation 5). With gamma = 0
    and alpha = None, for a = 1, it is binary cross entropy.

    Args:
        gamma: 0 or more; the paper's best is 2, with alpha = 0.25.
        alpha: 0 to 1; None: both answers count alike, 1.
    """

    def __init__(self, *, gamma: float, alpha: float | None) -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss, 0 or more, of logits and targets 0 or 1 of the same shape; half precision is computed in single."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        yes, no = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
        of_yes, of_no = (-(_one_minus_exp(log_p) ** self.gamma) * log_p for log_p in (yes, no))
        if self.alpha is not None:
            of_yes, of_no = self.alpha * of_yes, (1 - self.alpha) * of_no
        return (targets * of_yes + (1 - targets) * of_no).mean()


def _one_minus_exp(log_p: Tensor) -> Tensor:
    """``1 - exp(log_p)``, exact for small values too, and kept above 0, where a power below 1 has no gradient."""
    return (-log_p.expm1()).clamp_min(torch.finfo(log_p.dtype).tiny)


OF_SHARES = (nn.BCEWithLogitsLoss, BinaryFocalLoss)
"""Losses whose targets are 1 for yes, 0 for no, or a share between them."""


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
        """Whatever shapes the losses take, to a scalar.

        Raises:
            UserError: If one of them gives no scalar.
        """
        weighted = []
        for name, loss in self.losses.items():
            value = loss(logits, targets)
            if mistake := no_number(value, f"loss.terms.{name}"):
                raise mistake
            weighted.append(self.weights[name] * value)
        return torch.stack(weighted).sum()


def no_number(loss: object, key: str) -> UserError | None:
    """What to tell of something that a loss of the user's gave in place of a number; None: it is a scalar."""
    expected = "a tensor without axes, such as the mean over the batch"
    if not isinstance(loss, Tensor):
        return UserError(f"{key}: it gives {'None' if loss is None else f'a {type(loss).__name__}'}", expected=expected)
    if loss.ndim:
        return UserError(
            f"{key}: it gives a tensor of shape {tuple(loss.shape)}",
            expected=expected,
            fix="reduction=mean, or .mean()",
        )
    return None
