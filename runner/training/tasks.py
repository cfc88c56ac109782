"""What is learnt: for each task its metrics, the monitored one, and how targets meet the raw outputs of a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from runner.errors import UserError
from runner.training.metrics import (
    BinaryMetrics,
    ClassificationMetrics,
    Metric,
    MultilabelMetrics,
    RegressionMetrics,
    SegmentationMetrics,
)


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of target.

    Args:
        name: As in the configuration.
        outputs: Numbers (or channels) that the model gives for a sample.
        monitor: The metric of the validation split that decides which checkpoint is the best.
        new_metric: Makes an empty metric on a device.
        predict: Raw outputs to probabilities, or to values where the outputs are values.
    """

    name: str
    outputs: int
    monitor: str
    new_metric: Callable[[torch.device], Metric]
    predict: Callable[[Tensor], Tensor]

    def match(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Targets in the dtype and shape that the loss wants for these outputs."""
        if self.name in ("classification", "segmentation"):
            return targets
        return targets.reshape(outputs.shape).to(torch.float32)

    def check_targets(self, targets: Tensor) -> None:
        """Refuse targets of another kind than the task is about; ``targets`` are those of a batch.

        Raises:
            ValueError: With what was expected.
        """
        kinds = {
            "classification": (targets.ndim == 1 and not targets.is_floating_point(), "a class for each sample"),
            "binary": (targets.ndim == 1, "0 or 1 for each sample"),
            "multilabel": (targets.ndim == 2, "a row of 0 and 1 for each sample"),
            "regression": (targets.ndim <= 2, "numbers for each sample"),
            "segmentation": (targets.ndim == 3, "a mask for each sample"),
        }
        fits, expected = kinds[self.name]
        if not fits:
            raise ValueError(f"task={self.name} is about {expected}, the targets have shape {tuple(targets.shape[1:])}")

    def check_output(self, output: object, targets: Tensor) -> None:
        """Refuse an output of the wrong shape; ``output`` is the model's for a batch with these targets.

        Raises:
            ValueError: With what was expected.
        """
        batch = len(targets)
        expected = (batch, self.outputs, *targets.shape[1:]) if self.name == "segmentation" else (batch, self.outputs)
        if not isinstance(output, Tensor):
            raise ValueError(f"a tensor {expected} is expected, the model gave a {type(output).__name__}")
        if tuple(output.shape) != expected:
            raise ValueError(f"an output of shape {expected} is expected, the model gave {tuple(output.shape)}")


def make_task(name: str, outputs: int, class_names: Sequence[str] = ()) -> Task:
    """The task of that name.

    Raises:
        UserError: If there is no such task.
    """
    if name == "classification":
        return Task(name, outputs, "accuracy", lambda device: ClassificationMetrics(outputs, device), _softmax)
    if name == "segmentation":
        names = class_names if len(class_names) == outputs else ()
        return Task(name, outputs, "dice", lambda device: SegmentationMetrics(outputs, device, names), _softmax)
    if name == "binary":
        return Task(name, outputs, "accuracy", BinaryMetrics, torch.sigmoid)
    if name == "multilabel":
        return Task(name, outputs, "f1", lambda device: MultilabelMetrics(outputs, device), torch.sigmoid)
    if name == "regression":
        return Task(name, outputs, "loss", RegressionMetrics, lambda raw: raw)
    raise UserError(
        f"task.name={name} is not a task", expected="classification, binary, multilabel, regression, segmentation"
    )


def _softmax(outputs: Tensor) -> Tensor:
    return outputs.softmax(1)
