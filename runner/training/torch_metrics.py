"""Metrics of torchmetrics, computed beside the plain ones. Nothing here is imported where a run names none.

n: samples, K: classes, labels or values of a sample; images add (h, w).
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric as TorchMetric

from runner.build import build
from runner.errors import UserError
from runner.training.metrics import Metric, classes

_DIRECTIONS = {
    "specificity": True,
    "negative_predictive_value": True,
    "eer": False,
    "pearson_corrcoef": True,
    "kendall_rank_corrcoef": True,
    "tweedie_deviance_score": False,
}
"""Whether more is better, where torchmetrics does not say."""


class WithTorchmetrics:
    """The plain metrics of a task, and others of torchmetrics.

    Their sums may round, so they are taken batch by batch.

    Args:
        plain: Empty.
        added: By name; each gives one number.
        predict: Raw outputs to probabilities or values.
        task: The name of the task, which decides in what form predictions and targets are handed over.
    """

    is_count = False

    def __init__(
        self, plain: Metric, added: Mapping[str, TorchMetric], predict: Callable[[Tensor], Tensor], task: str
    ) -> None:
        self.plain = plain
        self.added = added
        self._predict = predict
        self._task = task
        self._batches = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count one batch of raw outputs against its targets."""
        self._batches += 1
        self.plain.update(outputs, targets)
        ours = outputs.to(torch.float32, copy=True)  # metrics may keep it, and outputs will be written over
        predictions, truth = self._as_wanted(self._predict(ours), targets)
        for metric in self.added.values():
            of_masks = type(metric).__module__.startswith("torchmetrics.segmentation")
            metric.update(classes(predictions) if of_masks else predictions, truth)

    def _as_wanted(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if self._task in ("classification", "segmentation"):  # shares of classes: the largest is the class
            return predictions, targets.argmax(1) if targets.is_floating_point() else targets
        if self._task == "multilabel":
            return predictions, targets.long()
        truth = targets.flatten()
        return predictions.flatten(), truth.long() if self._task == "binary" else truth.float()

    def compute(self) -> dict[str, float]:
        """The figures of all batches so far, NaN before the first. Waits for the device."""
        added = {name: metric.compute().item() if self._batches else math.nan for name, metric in self.added.items()}
        return {**self.plain.compute(), **added}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint within an epoch keeps, on the CPU. Waits for the device."""
        return {
            "plain": self.plain.state_dict(),
            "batches": self._batches,
            "added": {name: _state(metric) for name, metric in self.added.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.plain.load_state_dict(state["plain"])
        self._batches = state["batches"]
        for name, metric in self.added.items():
            for key, value in state["added"][name].items():
                moved = [one.to(metric.device) for one in value] if isinstance(value, list) else value.to(metric.device)
                setattr(metric, key, moved)
            metric._update_count = self._batches
            metric._computed = None

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Take the place of several that have counted a part of the samples each, as torchmetrics merges processes."""
        counted = [state for state in states if state["batches"]] or states[:1]
        if len(counted) == 1:
            return self.load_state_dict(counted[0])
        self.plain.merge([state["plain"] for state in counted])
        self._batches = sum(state["batches"] for state in counted)
        for name, metric in self.added.items():
            reductions: dict[str, Any] = metric._reductions
            for key, reduce in reductions.items():
                values = [state["added"][name][key] for state in counted]
                if isinstance(values[0], list):
                    merged: Any = [one.to(metric.device) for value in values for one in value]
                else:
                    merged = torch.stack(values).to(metric.device)
                    merged = merged if reduce is None else reduce(merged)
                setattr(metric, key, merged)
            metric._update_count = self._batches
            metric._computed = None


def _state(metric: TorchMetric) -> dict[str, Any]:
    """Copies, on the CPU, of what a metric has collected."""
    state = {}
    for key in metric._defaults:
        value = getattr(metric, key)
        state[key] = [one.cpu().clone() for one in value] if isinstance(value, list) else value.cpu().clone()
    return state


def added_metrics(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, TorchMetric]:
    """The metrics that nodes describe, empty.

    Raises:
        UserError: If one is no metric of torchmetrics.
    """
    found = {}
    for name, node in nodes.items():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*will save all targets and predictions in (the )?buffer")
            metric = build(node, key=f"task.metrics.{name}")
        if not isinstance(metric, TorchMetric):
            raise UserError(
                f"task.metrics.{name} is a {type(metric).__name__}",
                expected="a torchmetrics.Metric, whose update takes predictions and targets",
            )
        for part in metric.modules():
            if isinstance(part, TorchMetric):  # the processes of a run are merged here, not by each metric for itself
                part.sync_on_compute = part._to_sync = False
        found[name] = metric
    return found


def try_out(make: Callable[[], WithTorchmetrics], outputs: int, task: str) -> None:
    """Refuse metrics that cannot be computed for a task, or are not one number, before anything is trained.

    Raises:
        UserError: With what the metric says.
    """
    shape = (2, outputs, 16, 16) if task == "segmentation" else (8 * outputs, outputs)
    raw = torch.linspace(-1, 2, math.prod(shape)).view(shape)
    targets = {
        "classification": torch.arange(8 * outputs) % outputs,
        "segmentation": torch.arange(512).view(2, 16, 16) % outputs,
        "binary": torch.arange(8 * outputs) % 2,
        "multilabel": (torch.arange(8 * outputs)[:, None] + torch.arange(outputs)) % 2,
        "regression": raw.abs() + 0.5,
    }[task]
    for name in make().added:
        alone = make()
        alone.added = {name: alone.added[name]}
        try:
            alone.update(raw, targets)
            value = alone.added[name].compute()
        except (RuntimeError, ValueError, TypeError) as error:
            raise UserError(
                f"task.metrics: {name} cannot be computed for task={task}",
                where=f"the metric says: {str(error).partition(chr(10))[0]}",
                fix="another metric, or settings of it that suit the task",
            ) from error
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise UserError(
                f"task.metrics: {name} gives a {type(value).__name__}"
                + (f" of {value.numel()} numbers" if isinstance(value, Tensor) else ""),
                expected="one number, for a column of metrics.csv and a curve",
                fix="a mean over the classes, such as average: macro",
            )


def higher_is_better(name: str, metric: TorchMetric) -> bool | None:
    """The direction of a metric; None where nobody says."""
    return _DIRECTIONS.get(name) if metric.higher_is_better is None else bool(metric.higher_is_better)
