"""Batches of images and masks as one picture that a person can look at.

Shapes: N images, C channels, H height, W width. A picture is (H, W, 3) uint8.
"""

import colorsys
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]

_GAP = 2  # pixels between two tiles
_SMALLEST, _LARGEST = 64, 256  # the longer side of a tile, in pixels: seen without a lens, and no megabytes an epoch
_BACKGROUND = 224
_NO_CLASS = (128, 128, 128)


def as_rgb(images: Tensor) -> Pixels:
    """Images (N, C, H, W), uint8 or floats in 0..1, as (N, H, W, 3).

    One or two channels: the first one in grey. Three or more: the first three as red, green and blue. Floats outside of
    0..1 are clipped, and NaN is black.
    """
    channels = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    channels = channels.detach().cpu()
    if channels.dtype != torch.uint8:
        channels = channels.float().nan_to_num(nan=0.0).clamp(0, 1).mul(255).round().to(torch.uint8)
    return channels.permute(0, 2, 3, 1).numpy()


def as_colours(masks: Tensor, num_classes: int) -> Pixels:
    """Masks of classes (N, H, W), integers, as (N, H, W, 3): class 0 black, the others in hues far apart.

    What is not in 0..num_classes-1, such as pixels to be ignored, is grey.
    """
    palette = np.array([*(_colour(index) for index in range(max(num_classes, 2))), _NO_CLASS], dtype=np.uint8)
    classes = masks.detach().cpu().long().numpy()
    known = (classes >= 0) & (classes < len(palette) - 1)
    return palette[np.where(known, classes, len(palette) - 1)]


def grid(images: Pixels, num_columns: int | None = None) -> Pixels:
    """Images (N, H, W, 3), N >= 1, side by side in rows of ``num_columns``; without it, in a near square.

    Small images are enlarged and large ones thinned out by a whole factor, without mixing pixels: a mask keeps its
    classes.
    """
    images = _resize(images)
    num, height, width, _ = images.shape
    num_columns = num_columns or math.ceil(math.sqrt(num))
    num_rows = math.ceil(num / num_columns)
    picture = np.full(
        (num_rows * (height + _GAP) - _GAP, num_columns * (width + _GAP) - _GAP, 3), _BACKGROUND, dtype=np.uint8
    )
    for index, image in enumerate(images):
        row, column = divmod(index, num_columns)
        top, left = row * (height + _GAP), column * (width + _GAP)
        picture[top : top + height, left : left + width] = image
    return picture


def _resize(images: Pixels) -> Pixels:
    side = max(images.shape[1:3])
    if side < _SMALLEST:
        factor = math.ceil(_SMALLEST / side)
        return images.repeat(factor, axis=1).repeat(factor, axis=2)
    step = math.ceil(side / _LARGEST)
    return images[:, ::step, ::step]


def _colour(index: int) -> tuple[int, int, int]:
    if index == 0:
        return 0, 0, 0
    # Steps of the golden ratio around the colour wheel never come close to each other; the start is orange.
    hue = (0.1 + (index - 1) * 0.618034) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
