"""What the model of a run takes and gives, as it is known once the data are open."""

import torch
from torch import Tensor

from runner.data.source import Lazy
from runner.runs.signature import Signature, Values
from runner.training.data import Splits
from runner.training.tasks import Task


def signature_of(splits: Splits, task: Task) -> Signature:
    """For the record in the run directory."""
    dtype = torch.float32  # whatever is stored, see ``Prepare``
    return Signature(
        task=task.name,
        outputs=task.outputs,
        inputs=tuple(Values(tuple(shape), _name(dtype)) for shape in splits.shapes),
        stored=tuple(map(_values, splits.store.inputs)),
        target=_values(splits.store.targets),
        normalize=splits.normalize,
        class_names=splits.class_names,
        mask_values=splits.mask_values,
        columns=splits.columns,
    )


def _values(stored: Tensor | Lazy) -> Values:
    return Values(tuple(stored.shape[1:]), _name(stored.dtype))


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
