"""Learning rates as plain functions of how far training has come: nothing to save, nothing to step.

Each is called with the epochs trained so far (a float: 2.5 is the middle of the third) and the epochs planned, and
gives the factor on the optimizer's learning rate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


def of_update(schedule: Callable[[float, float], float], step: int, steps_per_epoch: int, epochs: float) -> float:
    """The factor for an update, counted from 0: the highest one between its beginning and its end.

    So a linear warm-up over n updates takes 1/n, 2/n, ..., 1 (gradual warm-up: Goyal et al. 2017, section 2.2), and
    neither a rise from 0 nor a fall to 0 has an update that changes nothing.
    """
    begin = step / steps_per_epoch
    end = math.nextafter((step + 1) / steps_per_epoch, begin)  # not yet in the next epoch, for those that count epochs
    return max(schedule(begin, epochs), schedule(end, epochs))


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
