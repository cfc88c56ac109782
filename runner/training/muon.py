"""Muon for the weights that it is for, AdamW for the others, as one optimizer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn, optim

from runner.errors import UserError
from runner.training.lean_torch import plain_step


class Muon(optim.Optimizer):
    """Momentum made orthogonal, for matrices; AdamW for biases, norms, convolutions, and whatever else has not 2 axes.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. The step of a matrix is scaled to the size of one of
    AdamW (Liu et al.: Muon is Scalable for LLM Training, 2025, section 2.2), so that both share a learning rate and a
    weight decay.

    Args:
        params: Weights, or groups of them with settings of their own.
        lr: Learning rate of both, above 0.
        momentum: Of Muon: share of the last update that is kept, 0 to below 1.
        nesterov: Of Muon: whether momentum is Nesterov's.
        ns_steps: Of Muon: Newton-Schulz iterations, 1 or more.
        betas: Of AdamW.
        eps: Of AdamW.
        weight_decay: Of both, apart from the gradient.

    Raises:
        UserError: If no weight is a matrix.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        ns_steps: int,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        matrices, others = (_part(self.param_groups, is_matrix) for is_matrix in (True, False))
        if not matrices:
            raise UserError(
                "optimizer=muon is for matrices, and no weight of this model has two axes",
                expected="a model with linear layers; convolutions are left to AdamW",
                fix="optimizer=adamw",
            )
        shared: Any = {"lr": lr, "weight_decay": weight_decay}
        muon: Any = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        self._inner: list[optim.Optimizer] = [
            optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **muon, **shared),
        ]
        if others:
            self._inner.append(optim.AdamW(others, betas=(betas[0], betas[1]), eps=eps, **shared))
        self.param_groups = [group for inner in self._inner for group in inner.param_groups]
        self._share()
        self._steps: list[Callable[[], object]] = [plain_step(inner) for inner in self._inner]

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the weights."""
        for step in self._steps:
            step()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take groups and state, as ``load_state_dict`` gives them, for the optimizers inside too."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Let the optimizers inside work with the groups and the state of this one."""
        start = 0
        for inner in self._inner:
            end = start + len(inner.param_groups)
            inner.param_groups, inner.state = self.param_groups[start:end], self.state
            start = end


def _part(groups: Iterable[Mapping[str, Any]], is_matrix: bool) -> list[dict[str, Any]]:
    """The groups with only those of their weights that are matrices, or that are not; without those left empty."""
    parts = [
        {**group, "params": [weight for weight in group["params"] if (weight.ndim == 2) is is_matrix]}
        for group in groups
    ]
    return [part for part in parts if part["params"]]
