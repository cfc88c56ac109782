"""What is learnt: for each task its metrics, the monitored one, and how targets meet the raw outputs of a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from runner.errors import UserError
from runner.runs.direction import higher_is_better
from runner.tracking.formatting import counted
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
    directions: Mapping[str, bool | None] = field(default_factory=dict)
    """Of the metrics that were added: whether more is better; None where nobody says."""

    def higher_is_better(self, metric: str) -> bool:
        """The direction of a metric, with its split in front.

        Raises:
            UserError: If it is not known.
        """
        name = metric.rpartition("/")[2]
        higher = self.directions.get(name, higher_is_better(name))
        if higher is None:
            raise UserError(
                f"monitor={metric}: nobody says whether more of it is better",
                expected="a metric whose class sets higher_is_better",
            )
        return higher

    def match(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Targets in the dtype and shape that the loss wants for these outputs."""
        if self.name in ("classification", "segmentation"):
            return targets
        return targets.reshape(outputs.shape).to(torch.float32)

    def check_targets(self, targets: Tensor) -> None:
        """Refuse targets of another kind than the task is about; ``targets`` are those of a batch.

        Raises:
            UserError: With what was expected.
        """
        shape, count = tuple(targets.shape[1:]), targets[0].numel()
        is_class = not targets.is_floating_point()
        kinds = {
            "classification": (shape == () and is_class, "a whole number for each sample"),
            "binary": (shape == (), "0 or 1 for each sample"),
            "multilabel": (shape == (self.outputs,), f"a row of {self.outputs} for each sample, each 0 or 1"),
            "regression": (
                shape in ((), (count,)) and count == self.outputs,
                f"{counted(self.outputs, 'number')} for each sample",
            ),
            "segmentation": (len(shape) == 2, "a mask (height, width) for each sample"),
        }
        fits, expected = kinds[self.name]
        if fits:
            return
        fixes = {
            "classification": "int(target) in the Dataset" if count == 1 else None,
            "multilabel": f"data.num_classes={count}" if len(shape) == 1 else None,
            "regression": f"data.num_values={count}" if len(shape) <= 1 else None,
        }
        told = "targets that are decimal numbers" if shape == () else f"targets of shape {shape}"
        raise UserError(f"task={self.name} cannot learn from {told}", expected=expected, fix=fixes.get(self.name))

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


def make_task(
    name: str, outputs: int, class_names: Sequence[str] = (), metrics: Mapping[str, Mapping[str, Any]] | None = None
) -> Task:
    """The task of that name.

    Args:
        name: As in the configuration.
        outputs: Numbers (or channels) that the model gives for a sample.
        class_names: For metrics of each class.
        metrics: By name, the nodes of metrics of torchmetrics to compute beside those of the task.

    Raises:
        UserError: If there is no such task, or a metric does not suit it.
    """
    task = _plain_task(name, outputs, class_names)
    return with_added(task, metrics) if metrics else task


def with_added(task: Task, nodes: Mapping[str, Mapping[str, Any]]) -> Task:
    """The task with metrics of torchmetrics beside its own; importing them takes seconds.

    Raises:
        UserError: If one does not suit the task.
    """
    from runner.training import torch_metrics  # only where one is named

    added = torch_metrics.added_metrics(nodes)
    plain, name = task.new_metric, task.name

    def new_metric(device: torch.device) -> torch_metrics.WithTorchmetrics:
        empty = {key: metric.clone().to(device) for key, metric in added.items()}
        return torch_metrics.WithTorchmetrics(plain(device), empty, task.predict, name)

    torch_metrics.try_out(lambda: new_metric(torch.device("cpu")), task.outputs, name)
    directions = {key: torch_metrics.higher_is_better(key, metric) for key, metric in added.items()}
    return replace(task, new_metric=new_metric, directions=directions)


def _plain_task(name: str, outputs: int, class_names: Sequence[str]) -> Task:
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
