"""Everything that a run trains with, built and on its device."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from runner.data.loader import Batch
from runner.errors import UserError
from runner.models.loading import load_saved
from runner.parallel.group import Group
from runner.parallel.pieces import local
from runner.training.averaging import MovingAverage
from runner.training.cuda_graph import Computed, GraphedUpdate
from runner.training.data import Splits
from runner.training.descent import Descent
from runner.training.devices import Device
from runner.training.divisors import Divisor, divisor_of
from runner.training.gradient import Compiled, EagerGradient, Gradient, Micro, Outputs, of_window
from runner.training.optimizers import is_capturable, load_optimizer
from runner.training.penalties import Penalties
from runner.training.ring import Lent
from runner.training.schedules import Plateau, Schedule, of_update
from runner.training.scores import Scores, Weight
from runner.training.tasks import Task
from runner.training.team import Team


@dataclass(slots=True)
class Parts:
    """What the loop works with."""

    task: Task
    device: Device
    model: nn.Module
    """Holds the weights that are trained; never compiled, so that their names are those of the class."""
    averaged: MovingAverage | None
    """Holds the running average of the weights, which is what is evaluated; None where the weights themselves are."""
    compiles: bool
    graphs: bool
    """Whether updates become CUDA graphs."""
    accumulate: int
    """Batches that an update takes."""
    clip_norm: float | None
    """What the norm of the gradient is cut to."""
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    schedule: Schedule | Plateau
    """Factor on the learning rate, from the epochs trained and the epochs planned, or from how validation went."""
    lr_every: Literal["step", "epoch"]
    """How long the learning rate stays as it was set."""
    epochs: float
    """Epochs planned, with the fraction that ``max_steps`` leaves."""
    steps_per_epoch: int
    splits: Splits
    team: Team
    """The processes that train the model."""
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
    graph: GraphedUpdate | None = field(init=False)
    descend: Descent = field(init=False)
    evaluated: nn.Module = field(init=False)
    """The model that is evaluated: the averaged one, where there is one."""
    evaluate: Callable[..., Tensor] = field(init=False)
    """Calls it, or its compiled form."""
    base_lrs: list[float] = field(init=False)
    autocast: Callable[[], AbstractContextManager[object]] = field(init=False)

    def __post_init__(self) -> None:
        self.evaluated = self.model if self.averaged is None else self.averaged.module
        trained = self.team.wrap(self.model)
        forward = self._compiled(trained)
        self.evaluate = forward if self.evaluated is trained else self._compiled(self.evaluated)
        self.loss = _of_task(self.task, self.loss_fn, self.auxiliary_weights)
        self.divisor = divisor_of(self.loss_fn, self.splits.store.targets)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        eager = EagerGradient(weights, forward, self.loss, self.device.autocast, self.scaler)
        self.gradient = self.team.gradient(eager, trained)
        self.descend = Descent(self.model, self.optimizer, self.scaler, self.penalties, self.clip_norm)
        self.graph = None
        if self.graphs:
            # What the device has to be asked for between gradient and descent, no graph can do.
            is_whole = self.scaler is None and not self.skip_nonfinite and is_capturable(self.optimizer)
            descend = self.descend if is_whole else None
            size = self.splits.train.batch_size
            self.graph = GraphedUpdate(eager, self.model, self.optimizer, descend, self.accumulate, size)
        self.base_lrs = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.autocast = self.device.autocast

    @property
    def group(self) -> Group | None:
        """The processes that train the model together; None where this one does it by itself."""
        return self.team.group

    def _compiled(self, model: nn.Module) -> Callable[..., Tensor]:
        if not self.compiles:
            return model
        loaders = (self.splits.train, self.splits.train_in_order)
        return Compiled(model, [loader.part_size for loader in loaders])

    def begin_training(self) -> None:
        """Put the model into training mode, except for what is frozen."""
        self.model.train()
        for layer in self.held:
            layer.eval()

    def begin_evaluation(self) -> None:
        """Put the model that is evaluated into eval mode, with the buffers that the first process has."""
        self.evaluated.eval()
        self.team.share_buffers(self.evaluated)

    def weight(self, batch: Batch, targets: Tensor) -> Weight:
        """What the mean loss of a batch, with these targets on the device, counts among those of others."""
        if self.divisor is None:
            return batch.num_own
        weight = self.divisor(targets)
        return weight if batch.num_own else torch.zeros_like(weight)

    def sample_inputs(self) -> tuple[Tensor, ...]:
        """The inputs of a few training samples, as the model takes them."""
        return self.splits.prepare(self.splits.train_in_order.first(2))[0]

    def new_scores(self, training: bool = False) -> Scores:
        """Empty scores for an epoch of training or for the evaluation of a split."""
        return Scores(self.task.new_metric(self.device.device), training and self.skip_nonfinite, self.group)

    def figures(self, training: bool = False) -> list[str]:
        """The names of what such scores come to."""
        return list(Scores(self.task.new_metric(self.device.device), training and self.skip_nonfinite).compute())

    def is_finite(self, losses: Sequence[Tensor | Lent]) -> bool:
        """Whether the losses of an update and every gradient are finite numbers, in all processes.

        A scaler looks after the gradients by itself. Waits for the device.
        """
        gradients = [local(weight.grad) for weight in self.model.parameters() if weight.grad is not None]
        gradients = [gradient for gradient in gradients if gradient.numel()]
        values = [loss.tensor if isinstance(loss, Lent) else loss for loss in losses]
        if self.scaler is None and gradients:
            values += torch._foreach_norm(gradients, ord=float("inf"))
        is_finite = bool(torch.stack([value.float() for value in values]).isfinite().all())
        return is_finite if self.group is None else not self.group.any(not is_finite)

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

    def compute(self, window: Iterable[Micro], step: int) -> Computed:
        """Compute what an update takes, counted from 0; in a graph, most of the update too."""
        if self.graph is not None and step > 0:  # before, the optimizer has not made what it keeps
            window = list(window)
            if self.graph.takes(window):
                return self.graph(window)
        return Computed(of_window(self.gradient, window))

    def update(self, computed: Computed) -> Tensor | None:
        """Move the weights, if they were not moved yet; the norm of the gradient before it was cut, if it is cut."""
        grad_norm = computed.grad_norm if computed.has_moved else self.descend()
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

    def load_weights(self, state: Mapping[str, Any]) -> None:
        """Take the weights, and their average, from what ``state_dict`` gave."""
        self._take_weights(self._own(state))

    def _own(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """What this process has to load of a state that was saved."""
        return self.team.load(state, self.state_dict(), self.optimizer)

    def _take_weights(self, state: Mapping[str, Any]) -> None:
        load_saved(self.model, state["model"])
        if self.averaged is not None:
            load_saved(self.averaged, state["averaged"])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        state = self._own(state)
        self._take_weights(state)
        load_optimizer(self.optimizer, state["optimizer"])
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
