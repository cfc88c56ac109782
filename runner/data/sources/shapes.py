"""Drawn rectangles, circles, triangles and ellipses with the mask of where they are.

H: height, W: width, C: channels.
"""

import warnings
from importlib.metadata import version

import numpy as np

from runner.data import fingerprint
from runner.data.source import Array, Facts, Progress, Samples, Size, silent
from runner.errors import UserError

_SIZE = (64, 64)
_NAMES = ("background", "shape")
_EMPTY = 255  # what random_shapes leaves where there is no shape


class Shapes:
    """Images of scikit-image's ``random_shapes`` on a noisy background; mask 0 is background, 1 is shape.

    The background is cloudy and of middling brightness, a shape is darker or brighter than it, and noise lies over
    both, so that no single threshold tells them apart. The same settings give the same images, whatever the order in
    which they are drawn.

    Args:
        count: Number of images.
        seed: Decides all of them; image i depends on (seed, i) alone.
        max_shapes: At most as many shapes in an image; at least one.
        noise: Standard deviation of the noise, in grey levels of 0..255.
        channels: 1 for grey, 3 for colour.
    """

    def __init__(
        self, count: int = 400, seed: int = 0, max_shapes: int = 5, noise: float = 30.0, channels: int = 1
    ) -> None:
        self.count = count
        self.seed = seed
        self.max_shapes = max_shapes
        self.noise = noise
        self.channels = channels

    def check(self) -> None:
        """Refuse settings from which nothing can be drawn."""
        settings = {"count": self.count, "max_shapes": self.max_shapes}
        for key, value in settings.items():
            if value < 1:
                raise UserError(f"data.source.{key}={value} draws nothing", expected="a whole number from 1")
        if self.noise < 0:
            raise UserError(f"data.source.noise={self.noise} is negative", expected="a number from 0")
        if self.channels not in (1, 3):
            raise UserError(f"data.source.channels={self.channels} cannot be drawn", expected="1 or 3")

    def facts(self) -> Facts:
        """Two classes; 64 x 64 pixels where no other size is asked for."""
        return Facts(channels=self.channels, image_size=_SIZE, num_classes=len(_NAMES), class_names=_NAMES)

    def fingerprint(self) -> str:
        """Digest of what the images are computed from, the version of scikit-image included."""
        return fingerprint.of_values(**vars(self), scikit_image=version("scikit-image"))

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """Draw all images, at the size asked for."""
        self.check()
        height, width = image_size or _SIZE
        images = np.empty((self.count, self.channels, height, width), np.uint8)
        masks = np.empty((self.count, height, width), np.uint8)
        for index in range(self.count):
            images[index], masks[index] = self._draw(index, (height, width))
            progress(index + 1, self.count)
        return Samples(inputs=(images,), targets=masks, class_names=_NAMES)

    def _draw(self, index: int, size: Size) -> tuple[Array, Array]:
        """Image ``index``, (C, H, W) uint8, and its mask, (H, W) uint8."""
        from skimage.draw import random_shapes

        rng = np.random.default_rng([self.seed, index])
        smaller = min(size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a shape that found no room is left out
            drawn, _ = random_shapes(  # type: ignore[no-untyped-call]
                size,
                min_shapes=1,
                max_shapes=self.max_shapes,
                min_size=max(2, smaller // 8),
                max_size=max(3, smaller // 2),
                num_channels=self.channels,
                intensity_range=((0, _EMPTY - 1),) if self.channels > 1 else (0, _EMPTY - 1),
                allow_overlap=True,
                rng=rng,
                channel_axis=0,
            )
        mask = (drawn != _EMPTY).any(axis=0)
        # Shapes are dark, 20..70, or bright, 184..234; the clouds keep to 77..177.
        levels = np.where(drawn < _EMPTY // 2, 20 + drawn * 0.4, 234 - (_EMPTY - 1 - drawn) * 0.4)
        picture = np.where(mask, levels, 127 + 50 * _clouds(rng, size)) + self.noise * rng.standard_normal(drawn.shape)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8), mask.astype(np.uint8)


def _clouds(rng: np.random.Generator, size: Size) -> Array:
    """A smooth random field (H, W) in -1..1: bilinear between 5 x 5 random points."""
    points = rng.uniform(-1, 1, (5, 5))
    rows, columns = (_between(length) for length in size)
    field: Array = rows @ points @ columns.T
    return field


def _between(length: int) -> Array:
    """Weights (length, 5) that place ``length`` pixels evenly between 5 points."""
    positions = np.linspace(0, 4, length)[:, np.newaxis]
    weights: Array = np.clip(1 - np.abs(positions - np.arange(5)), 0, 1)
    return weights
