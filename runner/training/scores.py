"""The running loss and metrics of a split, kept on the device and read only at log points."""

from typing import Any

import torch
from torch import Tensor

from runner.training.metrics import Metric

_HELD_ELEMENTS = 1_000_000
"""Outputs held back before they are counted: few enough to be small beside a model, many enough to count rarely."""


class Scores:
    """Mean loss and metrics over the samples seen so far.

    A step only appends to lists; the arithmetic is done for many steps at once. Every sum is taken batch by batch in
    their order, so the figures do not depend on when they were read or saved.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.samples = 0
        self._loss_sum = 0.0
        self._losses: list[tuple[Tensor, int]] = []
        self._held: list[tuple[Tensor, Tensor]] = []
        self._held_elements = 0
        self._since_mark = (0.0, 0)

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Note a batch: its mean loss (a scalar), raw outputs and targets."""
        size = len(targets)
        self.samples += size
        self._losses.append((loss.detach(), size))
        self._held.append((outputs.detach(), targets))
        self._held_elements += outputs.numel()
        if self._held_elements >= _HELD_ELEMENTS:
            self._count()

    def loss(self) -> float:
        """Mean loss over all samples so far. Waits for the device."""
        self._read_losses()
        return self._loss_sum / max(self.samples, 1)

    def loss_since_mark(self) -> float:
        """Mean loss since the last call, for a training curve; NaN if nothing was added. Waits for the device."""
        self._read_losses()
        before, samples_before = self._since_mark
        self._since_mark = (self._loss_sum, self.samples)
        samples = self.samples - samples_before
        return (self._loss_sum - before) / samples if samples else float("nan")

    def compute(self) -> dict[str, float]:
        """``loss`` and every metric, by name. Waits for the device."""
        self._count()
        return {"loss": self.loss(), **self.metric.compute()}

    def _read_losses(self) -> None:
        if not self._losses:
            return
        values = torch.stack([loss for loss, _ in self._losses]).tolist()
        for value, (_, size) in zip(values, self._losses, strict=True):
            self._loss_sum += value * size
        self._losses.clear()

    def _count(self) -> None:
        for outputs, targets in self._held:
            self.metric.update(outputs, targets)
        self._held.clear()
        self._held_elements = 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint within an epoch keeps. Waits for the device."""
        self._read_losses()
        self._count()
        return {
            "samples": self.samples,
            "loss_sum": self._loss_sum,
            "mark": list(self._since_mark),
            "metric": self.metric.state.cpu(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.samples, self._loss_sum = state["samples"], state["loss_sum"]
        self._since_mark = (state["mark"][0], state["mark"][1])
        self.metric.state.copy_(state["metric"])
