"""Whether the targets of all samples are what a loss takes."""

import numpy as np
from torch import Tensor, nn

from runner.errors import UserError
from runner.losses import OF_CLASSES, OF_SHARES, DiceLoss, WeightedSum
from runner.tracking.formatting import counted


def classes_without_samples(targets: object, num_classes: int | None) -> list[int]:
    """The classes below ``num_classes`` that no sample is of; none where targets are no classes."""
    if num_classes is None or not isinstance(targets, Tensor) or targets.ndim != 1 or targets.is_floating_point():
        return []
    lacking: list[int] = np.setdiff1d(np.arange(num_classes), targets.numpy()).tolist()
    return lacking


def refuse_other_targets(targets: object, loss_fn: nn.Module, num_classes: int) -> None:
    """Refuse targets that a loss would take for what they are not.

    Of a loss of classes, classes that there are not; those it ignores are welcome. Of one that compares with yes and
    no, numbers that are no share of a yes: -1 for a no gives a loss without a lower end.

    Of masks, bytes that are not below 0, whoever reads them one by one knows their classes. A Dice loss raises nothing
    where they are too large: such pixels would belong to no class.

    Args:
        targets: Of all samples, where they are in memory.
        loss_fn: The loss.
        num_classes: Of the task.

    Raises:
        UserError: If there are some.
    """
    if not isinstance(targets, Tensor):
        return
    for loss in loss_fn.losses.values() if isinstance(loss_fn, WeightedSum) else [loss_fn]:
        if isinstance(loss, OF_SHARES):
            _refuse_other_shares(targets)
        if targets.is_floating_point():
            continue
        if targets.ndim == 1 and isinstance(loss, OF_CLASSES):
            wrong = ((targets < 0) & (targets != loss.ignore_index)).nonzero().flatten()
            if len(wrong):
                first = int(targets[wrong[0]])
                raise UserError(
                    f"data.source: sample {int(wrong[0])} is of class {first}{_and_more(len(wrong) - 1)}",
                    expected=f"classes numbered from 0, or {loss.ignore_index}, which loss.ignore_index leaves out",
                    fix=f"loss.ignore_index={first}, if such samples are not to count",
                )
        if targets.ndim == 3 and isinstance(loss, (*OF_CLASSES, DiceLoss)) and targets.max() >= num_classes:
            _refuse_values_of_masks(targets, loss.ignore_index, num_classes)


def _refuse_other_shares(targets: Tensor) -> None:
    """``targets`` (N, ...)."""
    wrong = (targets < 0) | (targets > 1)
    if wrong.any():
        samples = wrong.reshape(len(wrong), -1).any(1)
        first = int(samples.nonzero()[0])
        more = int(samples.sum()) - 1
        raise UserError(
            f"data.source: sample {first} has the target {targets[first][wrong[first]][0]:g}"
            + (f"; there are such in {counted(more, 'more sample')}" if more else ""),
            expected="1 for yes, 0 for no, or a share between them",
            fix="other numbers for yes and no where the data come from, or a loss that takes these",
        )


def _refuse_values_of_masks(masks: Tensor, ignore_index: int, num_classes: int) -> None:
    """``masks`` (N, H, W)."""
    for index, mask in enumerate(masks):
        wrong = mask[(mask >= num_classes) & (mask != ignore_index)]
        if len(wrong):
            raise UserError(
                f"data.source: the mask of sample {index} has the value {wrong[0]}, which is no class",
                expected=f"the number of a class for each pixel: 0 to {num_classes - 1}, as data.num_classes says",
                fix=f"ignore_index={wrong[0]} for the loss, if such pixels are not to count",
            )


def _and_more(count: int) -> str:
    return f", and {counted(count, 'more sample')} below 0" if count else ""
