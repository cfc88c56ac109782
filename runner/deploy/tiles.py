"""Parts of pictures that a model takes one by one, and the way back from what it says of each to the whole picture.

T: parts, C: channels, H, W: height and width of the picture; h, w: of what the model takes.
"""

from dataclasses import dataclass

import numpy as np

from runner.data.decode import Fit, resize, resize_mask
from runner.data.source import Array, Size


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts pictures as those that the run was trained on were cut; the last tile of a row or column ends at the border.

    Args:
        tile: Height and width of the tiles; None: a picture is one tile.
        size: Height and width that the model takes; None: those of the tile.
        fit: How a tile is brought to that size.
    """

    tile: Size | None
    size: Size | None
    fit: Fit

    def cut(self, image: Array) -> Array:
        """The parts of an image (C, H, W), as (T, C, h, w).

        Raises:
            ValueError: If the image is smaller than a tile.
        """
        tiles = [image[:, y : y + h, x : x + w] for y, x, h, w in self._places((image.shape[1], image.shape[2]))]
        return np.stack(tiles if self.size is None else [resize(tile, self.size, self.fit) for tile in tiles])

    def joined(self, masks: Array, size: Size) -> Array:
        """What the model says of each part, (T, h, w), as one mask (H, W) of the picture's own size."""
        whole = np.zeros(size, masks.dtype)
        for mask, (y, x, h, w) in zip(masks, self._places(size), strict=True):
            whole[y : y + h, x : x + w] = resize_mask(mask, (h, w))
        return whole

    def _places(self, size: Size) -> list[tuple[int, int, int, int]]:
        """Top, left, height and width of each part."""
        h, w = self.tile or size
        if h > size[0] or w > size[1]:
            raise ValueError(f"is {size[0]} x {size[1]} (height x width), smaller than a tile of {h} x {w}")
        return [(y, x, h, w) for y in _starts(size[0], h) for x in _starts(size[1], w)]


def _starts(length: int, step: int) -> list[int]:
    starts = list(range(0, length - step + 1, step))
    return starts if starts[-1] + step == length else [*starts, length - step]
