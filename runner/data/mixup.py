"""Blending samples of a batch with each other.

B: samples of a batch, K: classes.
"""

import numpy as np
import torch
from torch import Tensor

from runner.data.random import fold


class Mixup:
    """Blends each image with its neighbour in the batch, and their classes likewise.

    Zhang, Cisse, Dauphin, Lopez-Paz: mixup, ICLR 2018; one share for the whole batch, drawn from Beta(alpha, alpha). It
    depends on (seed, epoch, first sample of the batch) alone.

    Args:
        alpha: Above 0; small numbers blend little, 1 takes every share equally often.
        num_classes: K.
        seed: Decides the shares, together with the epoch.
    """

    def __init__(self, alpha: float, num_classes: int, seed: int) -> None:
        self._alpha = alpha
        self._num_classes = num_classes
        self._seed = seed

    def __call__(self, images: Tensor, classes: Tensor, first: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Blended images, and the shares of the classes (B, K) float32.

        Args:
            images: (B, ...) float32; any input that can be blended.
            classes: (B,) int64.
            first: The first sample of the batch.
            epoch: The running epoch.
        """
        generator = np.random.default_rng(fold(self._seed, epoch, first))
        of_neighbour = float(generator.beta(self._alpha, self._alpha))
        return images.lerp(images.roll(1, 0), of_neighbour), blended(classes, self._num_classes, of_neighbour)


def blended(classes: Tensor, num_classes: int, of_neighbour: float) -> Tensor:
    """The shares of the classes (B, K) float32, where each sample has that share of its neighbour, the one before it.

    Args:
        classes: (B,) int64.
        num_classes: K.
        of_neighbour: 0 to 1.
    """
    shares = torch.nn.functional.one_hot(classes, num_classes).float()
    return shares.lerp(shares.roll(1, 0), of_neighbour)
