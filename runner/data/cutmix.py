"""Pasting parts of the samples of a batch into each other.

B: samples of a batch, C: channels, H: height, W: width, K: classes.
"""

import math
from typing import Protocol

import numpy as np
from torch import Tensor

from runner.data.mixup import Mixup, blended
from runner.data.random import fold


class Blend(Protocol):
    """Blends the samples of a training batch; the result depends on (seed, epoch, samples) alone."""

    def __call__(self, images: Tensor, classes: Tensor, first: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Blended images and the shares of their classes, as ``Mixup`` gives them."""
        ...


class Cutmix:
    """Pastes a box of its neighbour in the batch into each image; the classes go by the area.

    Yun, Han, Oh, Chun, Choe, Yoo: CutMix, ICCV 2019; one box for the whole batch. Its share of the picture is drawn
    from Beta(alpha, alpha) and its centre anywhere, so that it may lie over an edge; what is left of it then counts. It
    depends on (seed, epoch, first sample of the batch) alone.

    Args:
        alpha: Above 0; 1 takes every share equally often.
        num_classes: K.
        seed: Decides the boxes, together with the epoch.
    """

    def __init__(self, alpha: float, num_classes: int, seed: int) -> None:
        self._alpha = alpha
        self._num_classes = num_classes
        self._seed = seed

    def __call__(self, images: Tensor, classes: Tensor, first: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Images with a box of another one, and the shares of the classes (B, K) float32.

        Args:
            images: (B, C, H, W) float32.
            classes: (B,) int64.
            first: The first sample of the batch.
            epoch: The running epoch.
        """
        generator = np.random.default_rng(fold(self._seed, epoch, first, 1))
        height, width = images.shape[-2:]
        side = math.sqrt(float(generator.beta(self._alpha, self._alpha)))  # of the box, compared to the picture's
        top, bottom = _span(side, height, float(generator.random()))
        left, right = _span(side, width, float(generator.random()))
        pasted = images.clone()
        pasted[..., top:bottom, left:right] = images.roll(1, 0)[..., top:bottom, left:right]
        of_neighbour = (bottom - top) * (right - left) / (height * width)
        return pasted, blended(classes, self._num_classes, of_neighbour)


def _span(share: float, size: int, centre: float) -> tuple[int, int]:
    """First pixel and the one after the last, of a box about a centre (0 to 1), cut off at the edges."""
    half = round(share * size) / 2
    middle = int(centre * size)
    return max(math.floor(middle - half), 0), min(math.floor(middle + half), size)


class Either:
    """One of two ways to blend for each batch, either as often; which depends on (seed, epoch, first sample) alone."""

    def __init__(self, one: Blend, other: Blend, seed: int) -> None:
        self._ways = one, other
        self._seed = seed

    def __call__(self, images: Tensor, classes: Tensor, first: int, epoch: int) -> tuple[Tensor, Tensor]:
        """As the one that is taken."""
        way = self._ways[fold(self._seed, epoch, first, 2) % 2]
        return way(images, classes, first, epoch)


def blending(mixup_alpha: float | None, cutmix_alpha: float | None, num_classes: int, seed: int) -> Blend | None:
    """What blends the training batches, by the settings of mixup and cutmix; None where nothing does."""
    mixup = Mixup(mixup_alpha, num_classes, seed) if mixup_alpha else None
    cutmix = Cutmix(cutmix_alpha, num_classes, seed) if cutmix_alpha else None
    return Either(mixup, cutmix, seed) if mixup and cutmix else mixup or cutmix
