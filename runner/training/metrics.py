"""The plain metrics, counted on the device and read only when asked for.

Class metrics come from one confusion matrix, regression metrics from running sums, so that they are those of the whole
set whatever the batches were, and adding a batch costs a few small tensor operations and no synchronisation.
``n`` is the number of samples, ``c`` of classes; images add ``(h, w)``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class Metric(Protocol):
    """Collects outputs and targets of the whole split, whatever the batches are."""

    @property
    def is_count(self) -> bool:
        """Whether the state counts things: it is then the same, to the last bit, in whatever batches they came."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count one batch of raw outputs, which may be written over afterwards, against its targets."""

    def compute(self) -> dict[str, float]:
        """The figures of all batches so far, by name. Waits for the device."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint within an epoch keeps, on the CPU. Waits for the device."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Take the place of several that have counted a part of the samples each; good for ``compute`` alone."""


class Summed:
    """A metric that needs nothing but sums."""

    state: Tensor

    @property
    def is_count(self) -> bool:
        return not self.state.is_floating_point()

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.state.cpu()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.state.copy_(state["sums"])

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        total = torch.zeros_like(self.state)
        for state in states:  # one after the other: sums round
            total += state["sums"].to(total.device)
        self.state = total  # not in place: what ``state_dict`` gave stays what it is


def classes(outputs: Tensor) -> Tensor:
    """(n, ...) int64: which of outputs (n, c, ...) is the largest; argmax takes a CPU up to forty times as long."""
    return outputs.max(1).indices


def counted(cells: Tensor, bins: int) -> Tensor:
    """(bins,) int64: how many of the cells are 0, 1, ...; those below 0, or from ``bins`` on, count nowhere."""
    if cells.is_cuda:  # of integers, it is exact and deterministic, and unlike other ways does not wait for the device
        return torch.histc(cells.int(), bins=bins + 1, min=0, max=bins + 1)[:bins].long()  # the last one takes its edge
    return torch.where(cells < 0, bins, cells).flatten().bincount(minlength=bins + 1)[:bins]


class ConfusionMatrix(Summed):
    """Classes of samples: outputs (n, c, ...) against classes (n, ...) of any integer type.

    ``state[t * c + p]`` counts the samples of class ``t`` that were taken for ``p``. Targets below 0, or of
    ``ignore_index``, count nowhere.
    """

    def __init__(self, num_classes: int, device: torch.device, ignore_index: int = -100) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.state = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        predictions = classes(outputs)
        if targets.is_floating_point():  # shares of classes, as mixup gives them: the largest is the class
            targets = targets.argmax(1)
        cells = torch.add(predictions, targets, alpha=self.num_classes)
        if self.ignore_index >= 0:
            cells = cells.masked_fill(targets == self.ignore_index, -1)
        self.state += counted(cells, len(self.state))

    def counts(self) -> Tensor:
        """The matrix (c, c), rows by true class, on the CPU in float64."""
        return self.state.cpu().double().view(self.num_classes, self.num_classes)


class ClassificationMetrics(ConfusionMatrix):
    """Accuracy, and F1 averaged over the classes that occur (macro F1)."""

    def compute(self) -> dict[str, float]:
        counts = self.counts()
        hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
        f1 = _ratio(2 * hits, true + predicted)
        return {"accuracy": _ratio(hits.sum(), true.sum()).item(), "f1": _mean(f1)}


class SegmentationMetrics(ConfusionMatrix):
    """Dice and intersection over union averaged over the classes that occur, pixel accuracy, Dice of each class.

    Counted over all pixels of all pictures together, not averaged over pictures.
    """

    def __init__(
        self, num_classes: int, device: torch.device, class_names: Sequence[str], ignore_index: int = -100
    ) -> None:
        super().__init__(num_classes, device, ignore_index)
        self.class_names = list(class_names) or [str(number) for number in range(num_classes)]

    def compute(self) -> dict[str, float]:
        counts = self.counts()
        hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
        dice = _ratio(2 * hits, true + predicted)
        iou = _ratio(hits, true + predicted - hits)
        by_class = {f"dice_{name}": value.item() for name, value in zip(self.class_names, dice, strict=True)}
        return {"dice": _mean(dice), "iou": _mean(iou), "accuracy": _ratio(hits.sum(), true.sum()).item(), **by_class}


class BinaryMetrics(Summed):
    """Yes or no from a logit: accuracy, precision, recall and F1 of class 1.

    Outputs (n, 1) or (n,), targets of the same number of elements, 0 or 1. ``state`` is true negatives, false
    positives, false negatives, true positives.
    """

    def __init__(self, device: torch.device) -> None:
        self.state = torch.zeros(4, dtype=torch.int64, device=device)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        cells = (targets.flatten() > 0.5).long() * 2 + (outputs.flatten() > 0).long()
        self.state += counted(cells, len(self.state))

    def compute(self) -> dict[str, float]:
        tn, fp, fn, tp = self.state.cpu().double()
        return {
            "accuracy": _ratio(tp + tn, tp + tn + fp + fn).item(),
            "precision": _ratio(tp, tp + fp).item(),
            "recall": _ratio(tp, tp + fn).item(),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn).item(),
        }


class MultilabelMetrics(Summed):
    """Several labels a sample, each from its logit: accuracy over all labels, F1 averaged over the labels that occur.

    Outputs (n, c), targets (n, c) of 0 and 1. ``state[c]`` is hits, true labels, predicted labels, right answers of c.
    """

    def __init__(self, num_labels: int, device: torch.device) -> None:
        self.state = torch.zeros(num_labels, 4, dtype=torch.int64, device=device)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        true, predicted = targets > 0.5, outputs > 0
        right = true == predicted
        self.state += torch.stack([(true & predicted).sum(0), true.sum(0), predicted.sum(0), right.sum(0)], dim=1)

    def compute(self) -> dict[str, float]:
        hits, true, predicted, right = self.state.cpu().double().unbind(1)
        # Every sample is right or wrong on each label: n = right + wrong, and wrong = true + predicted - 2 hits.
        samples = right + true + predicted - 2 * hits
        return {
            "accuracy": _ratio(right.sum(), samples.sum()).item(),
            "f1": _mean(_ratio(2 * hits, true + predicted)),
        }


class RegressionMetrics(Summed):
    """Mean absolute error, root mean squared error, and R2 (1 - residual / total sum of squares), over all values.

    Outputs and targets of the same number of elements. ``state`` is the count, the sums of absolute and of squared
    errors, and of the targets and their squares, in float64 (float32 where the device has no float64).
    """

    def __init__(self, device: torch.device) -> None:
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.state = torch.zeros(5, dtype=dtype, device=device)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        truth = targets.flatten().to(self.state.dtype)
        error = outputs.flatten().to(self.state.dtype) - truth
        count = torch.full((), truth.numel(), dtype=self.state.dtype, device=self.state.device)
        self.state += torch.stack([count, error.abs().sum(), (error**2).sum(), truth.sum(), (truth**2).sum()])

    def compute(self) -> dict[str, float]:
        count, absolute, squared, total, squares = self.state.cpu().double()
        spread = squares - total**2 / count
        return {
            "mae": (absolute / count).item(),
            "rmse": (squared / count).sqrt().item(),
            "r2": (1 - squared / spread).item(),
        }


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """``part / whole``, NaN where there is nothing."""
    return torch.where(whole > 0, part / whole, torch.nan)


def _mean(values: Tensor) -> float:
    return values.nanmean().item()
