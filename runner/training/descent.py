"""From the gradient to new weights."""

from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from runner.parallel.pieces import whole
from runner.training.lean_torch import plain_step
from runner.training.penalties import Penalties


class Descent:
    """Lets the optimizer move the weights by their gradient, with what is added to it and cut off before.

    Args:
        model: Holds the weights.
        optimizer: Of them.
        scaler: Has scaled the loss; None: it is as it is.
        penalties: Added to the gradient.
        clip_norm: What its norm is cut to, if it is larger: above 0.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        scaler: GradScaler | None,
        penalties: Penalties | None,
        clip_norm: float | None,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._scaler = scaler
        self._penalties = penalties
        self._clip_norm = clip_norm
        self._step = plain_step(optimizer)

    def __call__(self) -> Tensor | None:
        """Move the weights; the norm of the gradient before it was cut, if it is to be."""
        grad_norm = None
        if self._scaler is not None and (self._clip_norm is not None or self._penalties is not None):
            self._scaler.unscale_(self._optimizer)
        if self._penalties is not None:
            self._penalties.add_gradient()
        if self._clip_norm is not None:
            grad_norm = whole(clip_grad_norm_(self._model.parameters(), self._clip_norm))
        if self._scaler is None:
            self._step()
        else:
            self._scaler.step(self._optimizer)
            self._scaler.update()
        return grad_norm
