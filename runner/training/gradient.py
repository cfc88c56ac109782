"""The gradient of a batch: forward pass, loss and backward pass."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.losses import no_number
from runner.training.ring import Lent

Outputs = Tensor | tuple[Tensor, ...]
"""What a model gives in training: its output, or a tuple of that and auxiliary outputs."""


class Micro(NamedTuple):
    """A micro-batch of an update, on the device."""

    inputs: tuple[Tensor, ...]
    """What the model takes."""
    targets: Tensor
    """What the loss takes."""
    share: float | Tensor
    """What part of the update these samples are: 1 where there is nothing to accumulate. A tensor is not looked at,
    which would wait for the device; it may be 0, because the loss counts none of them."""
    is_last: bool
    """Whether the update follows: where several processes share the work, they add up theirs now."""


class Result(NamedTuple):
    """What came of a micro-batch, without a graph."""

    loss: Tensor | Lent
    """Its mean loss: a scalar, not scaled by the share; 0 if it counts none of the samples."""
    outputs: Tensor | Lent
    """The main output."""
    targets: Tensor


class Gradient(Protocol):
    """Fills ``parameter.grad``, which an optimizer step then uses."""

    def clear(self) -> None:
        """Forget the gradients of the update before."""
        ...

    def add(self, micro: Micro) -> Result:
        """Add the gradient of a micro-batch."""
        ...


def of_window(gradient: Gradient, window: Iterable[Micro]) -> list[Result]:
    """Fill in the gradient of an update, from micro-batches that are asked for one after the other."""
    gradient.clear()
    return [gradient.add(micro) for micro in window]


@dataclass(slots=True)
class EagerGradient:
    """Computes as Python goes through the model."""

    parameters: Sequence[nn.Parameter]
    forward: Callable[..., Outputs]
    loss: Callable[[Outputs, Tensor], Tensor]
    autocast: Callable[[], AbstractContextManager[object]]
    scaler: torch.amp.GradScaler | None

    def clear(self) -> None:
        """Let go of the gradients; the next backward pass makes new ones instead of adding to zeros."""
        for parameter in self.parameters:
            parameter.grad = None

    def add(self, micro: Micro) -> Result:
        """Add the gradient of a micro-batch."""
        loss, outputs = self.forwards(micro)
        self.backwards(micro, loss)
        return Result(*detached(loss, outputs), micro.targets)

    def forwards(self, micro: Micro) -> tuple[Tensor, Outputs]:
        """The mean loss and what the model gives."""
        try:
            with self.autocast():
                outputs = self.forward(*micro.inputs)
                loss = self.loss(outputs, micro.targets)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError(
                f"batch normalisation has no spread to divide by in a training batch of {len(micro.targets)} sample",
                where=f"torch says: {error}",
                fix="data.drop_last=true, or another data.batch_size",
            ) from error
        if isinstance(micro.share, Tensor):
            loss = _unless_nothing_counts(loss, outputs, micro.share == 0)
        return loss, outputs

    def backwards(self, micro: Micro, loss: Tensor) -> None:
        """Add the gradient of the loss, as much as its share is."""
        share = micro.share
        try:
            part = loss if not isinstance(share, Tensor) and share == 1 else loss * share
            if self.scaler is not None:
                part = self.scaler.scale(part)
            part.backward()  # type: ignore[no-untyped-call]
        except Exception as error:
            if mistake := _no_loss(loss):  # looked for only here, where it costs a step nothing
                raise mistake from error
            raise


def _no_loss(loss: object) -> UserError | None:
    """What to tell of something that a loss of the user's gave and that has no gradient; None: it has one."""
    if mistake := no_number(loss, "loss"):
        return mistake
    if isinstance(loss, Tensor) and not loss.requires_grad:
        return UserError(
            "loss: it gives a number without a gradient",
            expected="what torch computes from the outputs; a model or a loss that cuts it off, as detach, item and "
            "no_grad do, cannot be trained",
        )
    return None


def detached(loss: Tensor, outputs: Outputs) -> tuple[Tensor, Tensor]:
    """Loss and main output without a graph."""
    main = outputs if isinstance(outputs, Tensor) else outputs[0]
    return loss.detach(), main.detach()


def _unless_nothing_counts(loss: Tensor, outputs: Outputs, nothing: Tensor) -> Tensor:
    """The loss, or 0 without a gradient: the mean of nothing is no number, and 0 times its gradient is none either."""
    for output in (outputs,) if isinstance(outputs, Tensor) else outputs:
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient.masked_fill(nothing, 0))  # type: ignore[no-untyped-call]
    return loss.masked_fill(nothing, 0)


class Compiled:
    """Calls the compiled form of a model for full batches, and the model itself for the smaller one at an end.

    Compiled is for one size of batch, because code for any size is slower, and compiling again takes many steps' time.

    Args:
        model: The model.
        batch_sizes: The sizes of full batches in training and in evaluation.
    """

    def __init__(self, model: nn.Module, batch_sizes: Sequence[int]) -> None:
        self._model = model
        self._compiled = torch.compile(model, dynamic=False)
        self._batch_sizes = frozenset(batch_sizes)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What the model gives."""
        is_full = len(inputs[0]) in self._batch_sizes
        outputs: Tensor = (self._compiled if is_full else self._model)(*inputs)
        return outputs
