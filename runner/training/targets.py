"""Whether the targets of all samples are what a loss takes."""

import torch
from torch import nn

from runner.errors import UserError
from runner.losses import OF_CLASSES, WeightedSum
from runner.tracking.formatting import counted


def refuse_classes_below_0(targets: object, loss_fn: nn.Module) -> None:
    """Refuse targets below 0 that a loss of classes would take for a class; those that it ignores are welcome.

    Raises:
        UserError: If there are some.
    """
    if not isinstance(targets, torch.Tensor) or targets.ndim != 1 or targets.is_floating_point():
        return
    for loss in loss_fn.losses.values() if isinstance(loss_fn, WeightedSum) else [loss_fn]:
        if isinstance(loss, OF_CLASSES):
            wrong = ((targets < 0) & (targets != loss.ignore_index)).nonzero().flatten()
            if len(wrong):
                first = int(targets[wrong[0]])
                raise UserError(
                    f"data.source: sample {int(wrong[0])} is of class {first}{_and_more(len(wrong) - 1)}",
                    expected=f"classes numbered from 0, or {loss.ignore_index}, which loss.ignore_index leaves out",
                    fix=f"loss.ignore_index={first}, if such samples are not to count",
                )


def _and_more(count: int) -> str:
    return f", and {counted(count, 'more sample')} below 0" if count else ""
