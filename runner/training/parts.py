"""Everything that a run trains with, built and on its device."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from runner.data.loader import Batch
from runner.errors import UserError
from runner.training.cuda_graph import GraphedGradient
from runner.training.data import Splits
from runner.training.devices import Device
from runner.training.divisors import Divisor, divisor_of
from runner.training.gradient import Compiled, EagerGradient, Gradient, Outputs
from runner.training.lean_torch import plain_step
from runner.training.penalties import Penalties
from runner.training.schedules import Plateau, of_update
from runner.training.scores import Scores, Weight
from runner.training.tasks import Task


@dataclass(slots=True)
class Parts:
    """What the loop works with."""

    task: Task
    device: Device
    model: nn.Module
    """Holds the weights that are trained; never compiled, so that their names are those of the class."""
    averaged: AveragedModel | None
    """Holds the running average of the weights, which is what is evaluated; None where the weights themselves are."""
    compiles: bool
    graphs: bool
    """Whether forward and backward pass become one CUDA graph."""
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    schedule: Callable[[float, float], float] | Plateau
    """Factor on the learning rate, from the epochs trained and the epochs planned, or from how validation went."""
    lr_every: Literal["step", "epoch"]
    """How long the learning rate stays as it was set."""
    epochs: float
    """Epochs planned, with the fraction that ``max_steps`` leaves."""
    steps_per_epoch: int
    splits: Splits
    scaler: torch.amp.GradScaler | None
    penalties: Penalties | None
    skip_nonfinite: bool
    """Leave out updates whose loss is not finite, instead of ending the run."""
    new_layers: Sequence[str] = ()
    """Layers that the configuration has put into the model, so that weights from elsewhere need not have them."""
    auxiliary_weights: Sequence[float] = ()
    """Of the losses of the auxiliary outputs that the model gives in training."""
    held: Sequence[nn.Module] = ()
    """Layers that stay in eval mode."""
    loss: Callable[[Outputs, Tensor], Tensor] = field(init=False)
    """The mean loss of a batch from its outputs and targets, with that of auxiliary outputs: a scalar."""
    divisor: Divisor | None = field(init=False)
    """What that mean divides by, from the targets; None: the number of samples."""
    gradient: Gradient = field(init=False)
    evaluated: nn.Module = field(init=False)
    """The model that is evaluated: the averaged one, where there is one."""
    evaluate: Callable[..., Tensor] = field(init=False)
    """Calls it, or its compiled form."""
    step: Callable[[], object] = field(init=False)
    """Lets the optimizer move the weights."""
    base_lrs: list[float] = field(init=False)
    autocast: Callable[[], AbstractContextManager[object]] = field(init=False)

    def __post_init__(self) -> None:
        self.evaluated = self.model if self.averaged is None else self.averaged.module
        forward = self._compiled(self.model)
        self.evaluate = forward if self.averaged is None else self._compiled(self.evaluated)
        self.loss = _of_task(self.task, self.loss_fn, self.auxiliary_weights)
        self.divisor = divisor_of(self.loss_fn)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        eager = EagerGradient(weights, forward, self.loss, self.device.autocast, self.scaler)
        batch_size = self.splits.train.batch_size
        self.gradient = GraphedGradient(eager, self.model, batch_size) if self.graphs else eager
        self.step = plain_step(self.optimizer)
        self.base_lrs = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.autocast = self.device.autocast

    def _compiled(self, model: nn.Module) -> Callable[..., Tensor]:
        if not self.compiles:
            return model
        loaders = (self.splits.train, self.splits.train_in_order)
        return Compiled(model, [loader.batch_size for loader in loaders])

    def begin_training(self) -> None:
        """Put the model into training mode, except for what is frozen."""
        self.model.train()
        for layer in self.held:
            layer.eval()

    def weight(self, batch: Batch, targets: Tensor) -> Weight:
        """What the mean loss of a batch, with these targets on the device, counts among those of others."""
        return batch.indices.numel() if self.divisor is None else self.divisor(targets)

    def sample_inputs(self) -> tuple[Tensor, ...]:
        """The inputs of a few training samples, as the model takes them."""
        return self.splits.prepare(self.splits.train_in_order.first(2))[0]

    def new_scores(self, training: bool = False) -> Scores:
        """Empty scores for an epoch of training or for the evaluation of a split."""
        return Scores(self.task.new_metric(self.device.device), counts_skipped=training and self.skip_nonfinite)

    def gradients_are_finite(self) -> bool:
        """Whether every gradient is a finite number; a scaler looks after that by itself. Waits for the device."""
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        if self.scaler is not None or not gradients:
            return True
        return bool(torch.stack(torch._foreach_norm(gradients, ord=float("inf"))).isfinite().all())

    def set_lr(self, step: int, history: Sequence[float] = ()) -> float:
        """Set the learning rate for an update, and return that of the first parameter group.

        Args:
            step: The update, counted from 0.
            history: A score of each epoch so far, of which more is better.
        """
        if isinstance(self.schedule, Plateau):
            factor = self.schedule.after(history)
        elif self.lr_every == "epoch":
            factor = of_update(self.schedule, step // self.steps_per_epoch, 1, self.epochs)
        else:
            factor = of_update(self.schedule, step, self.steps_per_epoch, self.epochs)
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor
        return self.base_lrs[0] * factor

    def update(self, clip_norm: float | None) -> Tensor | None:
        """Let the optimizer move the parameters; the norm of the gradient before it was cut, if it is cut."""
        grad_norm = None
        if self.scaler is not None and (clip_norm is not None or self.penalties is not None):
            self.scaler.unscale_(self.optimizer)
        if self.penalties is not None:
            self.penalties.add_gradient()
        if clip_norm is not None:
            grad_norm = clip_grad_norm_(self.model.parameters(), clip_norm)
        if self.scaler is None:
            self.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        return grad_norm

    def penalty_values(self) -> dict[str, float]:
        """The penalties on the weights as they are, by name. Waits for the device."""
        return {} if self.penalties is None else self.penalties.values()

    def state_dict(self) -> dict[str, Any]:
        """What of it changes in training."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else None,
        }

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the weights, and their average, from what ``state_dict`` gave."""
        self.model.load_state_dict(state["model"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.load_weights(state)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])


def _of_task(
    task: Task, loss_fn: Callable[[Tensor, Tensor], Tensor], auxiliary_weights: Sequence[float]
) -> Callable[[Outputs, Tensor], Tensor]:
    """The loss of outputs against the task's targets.

    Not a method of the parts: it would tie them and the gradient into a circle, and the workers of their loaders would
    go on until a garbage collection found it.
    """

    def loss(outputs: Outputs, targets: Tensor) -> Tensor:
        if isinstance(outputs, Tensor):
            return loss_fn(outputs, task.match(targets, outputs))
        if len(outputs) != len(auxiliary_weights) + 1:
            raise UserError(
                f"the model gives {len(outputs) - 1} auxiliary outputs in training, and {len(auxiliary_weights)} of "
                "their losses have weights",
                expected="a number for each, in the order in which the model gives them",
                fix=f"adapt.output_weights={[0.3] * (len(outputs) - 1)}".replace(" ", ""),
            )
        main, *auxiliary = (loss_fn(output, task.match(targets, output)) for output in outputs)
        return sum((w * one for w, one in zip(auxiliary_weights, auxiliary, strict=True)), start=main)

    return loss
