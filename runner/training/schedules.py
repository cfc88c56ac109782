"""Learning rates as plain functions of how far training has come: nothing to save, nothing to step.

Each is called with the epochs trained so far (a float: 2.5 is the middle of the third) and the epochs planned, and
gives the factor on the optimizer's learning rate. ``Plateau`` alone asks for something else: how validation went.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from runner.errors import UserError

Schedule = Callable[[float, float], float]
"""The factor on learning rates, of the epochs trained so far and the epochs planned."""

_ROUNDING = 1e-6
"""How far below 0 a factor may be that is meant to be 0."""


def of_update(schedule: Schedule, step: int, steps_per_epoch: int, epochs: float) -> float:
    """The factor for an update, counted from 0: the highest one between its beginning and its end.

    So a linear warm-up over n updates takes 1/n, 2/n, ..., 1 (gradual warm-up: Goyal et al. 2017, section 2.2), and
    neither a rise from 0 nor a fall to 0 has an update that changes nothing.

    Raises:
        UserError: If the schedule gives something else than a factor.
    """
    if isinstance(schedule, Constant):
        return 1.0  # asked for in every update, so worth a microsecond
    begin = step / steps_per_epoch
    end = math.nextafter((step + 1) / steps_per_epoch, begin)  # not yet in the next epoch, for those that count epochs
    return max(_factor(schedule, begin, epochs), _factor(schedule, end, epochs))


def _factor(schedule: Schedule, epoch: float, epochs: float) -> float:
    """What a schedule gives, which may be the user's.

    Raises:
        UserError: If that is no factor: a negative rate would climb, and one that is not finite end every weight.
    """
    given: object = schedule(epoch, epochs)
    try:
        factor = float(given)  # type: ignore[arg-type]  # NumPy's numbers no checkpoint gives back
    except (TypeError, ValueError):
        factor = math.nan
    if not -_ROUNDING <= factor < math.inf:
        raise UserError(
            f"scheduler: {type(schedule).__name__} gives {given!r} after {epoch:.4g} of {epochs:g} epochs",
            expected="a factor on optimizer.lr: a finite number of 0 or more",
        )
    return factor


@dataclass(frozen=True, slots=True)
class Constant:
    """Always 1."""

    def __call__(self, epoch: float, epochs: float) -> float:
        return 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """``gamma`` to the power of the number of drops so far, one after every ``epochs`` epochs."""

    epochs: float
    gamma: float

    def __call__(self, epoch: float, epochs: float) -> float:
        return float(self.gamma ** math.floor(epoch / self.epochs))


@dataclass(frozen=True, slots=True)
class MultiStep:
    """``gamma`` to the power of the number of ``milestones``, in epochs, that have been reached."""

    milestones: Sequence[float]
    gamma: float

    def __call__(self, epoch: float, epochs: float) -> float:
        return float(self.gamma ** sum(milestone <= epoch for milestone in self.milestones))


@dataclass(frozen=True, slots=True)
class Exponential:
    """``gamma`` to the power of the epochs trained."""

    gamma: float

    def __call__(self, epoch: float, epochs: float) -> float:
        return float(self.gamma**epoch)


@dataclass(frozen=True, slots=True)
class Cosine:
    """Half a cosine from 1 to ``final`` (Loshchilov and Hutter 2017, equation 5, without restarts).

    Before it, over ``warmup_epochs``, the factor rises linearly from 0; the cosine takes the epochs that are left.
    """

    warmup_epochs: float
    final: float

    def __call__(self, epoch: float, epochs: float) -> float:
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(epochs - self.warmup_epochs, 1e-12)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


@dataclass(frozen=True, slots=True)
class OneCycle:
    """From ``start`` up to 1 over the share ``rise`` of training, and down to ``final`` over the rest.

    Smith and Topin: Super-Convergence, 2018, with one falling part in place of two, as torch has it by default.
    Momentum stays as it is; the paper lets it fall while the rate rises.
    """

    rise: float
    start: float
    final: float
    anneal: Literal["cosine", "linear"]

    def __call__(self, epoch: float, epochs: float) -> float:
        done = min(epoch / epochs, 1.0)
        if done < self.rise:
            return self._between(self.start, 1.0, done / self.rise)
        return self._between(1.0, self.final, (done - self.rise) / max(1 - self.rise, 1e-12))

    def _between(self, begin: float, end: float, share: float) -> float:
        if self.anneal == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return begin + (end - begin) * share


@dataclass(frozen=True, slots=True)
class Plateau:
    """Times ``factor`` whenever the monitored metric has not improved for more than ``patience`` epochs.

    An improvement is one by more than ``min_delta`` over the best so far. For ``cooldown`` epochs after a drop none is
    counted as without improvement. The factor never falls below ``final``.
    """

    factor: float
    patience: int
    min_delta: float
    cooldown: int
    final: float

    def after(self, scores: Sequence[float]) -> float:
        """The factor on the learning rate, from a score of each epoch so far, of which more is better.

        NaN is no improvement.
        """
        best, stale, cooling, rate = -math.inf, 0, 0, 1.0
        for score in scores:
            if score > best + self.min_delta:
                best, stale = score, 0
            else:
                stale += 1
            if cooling:
                cooling, stale = cooling - 1, 0
            if stale > self.patience:
                rate, cooling, stale = max(rate * self.factor, self.final), self.cooldown, 0
        return rate
