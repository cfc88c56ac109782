"""Images as Pillow opens them, and which of its modes are pixels as they stand."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

CHANNELS = {"1": 1, "L": 1, "LA": 1, "I": 1, "F": 1, "I;16": 1, "I;16B": 1, "RGB": 3, "RGBA": 4}
"""Modes whose numbers are the pixels, with their colour channels and alpha. Others (palette, CMYK, YCbCr, ...) are
converted to RGB."""
_INDEXED = ("P", "PA")


@contextmanager
def opened(file: Path | io.BytesIO) -> Iterator[Image.Image]:
    """An image of one frame.

    Raises:
        ValueError: If it holds several, or more pixels than Pillow takes.
        OSError: If it cannot be opened, or is no image.
    """
    try:
        image = Image.open(file)
    except Image.DecompressionBombError as error:
        raise ValueError(f"is too large: {error}") from error
    with image:
        refuse_frames(getattr(image, "n_frames", 1))
        yield image


def refuse_frames(count: int) -> None:
    """Refuse several frames, which are no image but a film or a volume."""
    if count > 1:
        raise ValueError(f"holds {count} frames, where one is expected")


def resolved(image: Image.Image, indices: bool = False) -> Image.Image:
    """The image in a mode of ``CHANNELS``.

    Args:
        image: Any image.
        indices: Whether the indices of a palette image are wanted in place of its colours.
    """
    as_it_stands = image.mode in CHANNELS or (indices and image.mode in _INDEXED)
    return image if as_it_stands else image.convert("RGB")
