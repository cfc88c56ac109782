"""Learning rates as plain functions of how far training has come: nothing to save, nothing to step.

Each is called with the epochs trained so far (a float: 2.5 is the middle of the third) and the epochs planned, and
gives the factor on the optimizer's learning rate.
"""

import math
from dataclasses import dataclass


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

    Before it, over ``warmup_epochs``, the factor rises linearly; the cosine takes the epochs that are left.
    """

    warmup_epochs: float
    final: float

    def __call__(self, epoch: float, epochs: float) -> float:
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(epochs - self.warmup_epochs, 1e-12)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
