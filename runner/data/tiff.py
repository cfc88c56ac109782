"""TIFF files, which hold more kinds of pixels than other formats.

tifffile reads what is grey or RGB, in any depth. Pillow reads what has to be converted to RGB (palettes, CMYK, YCbCr,
LAB), grey of fewer than 8 bits, and compressions for which tifffile lacks the package imagecodecs, up to 8 bits a
channel or 16 of grey. Channels and size follow from the header alone, whoever reads the pixels.

Pixels are as they are for other formats: MINISWHITE is inverted, so that 0 is black, and orientation is not applied.

H: height, W: width, C: channels.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from runner.data.modes import opened, refuse_frames, resolved
from runner.data.source import Array, Size

_MINISWHITE, _MINISBLACK, _PALETTE = 0, 1, 3
_CONVERTED = (_PALETTE, 5, 6, 8, 9, 10)  # palette, CMYK, YCbCr, and three kinds of LAB: Pillow converts them to RGB
_DEEP = ("I", "F", "I;16", "I;16B")  # modes of Pillow that keep more than 8 bits
_ORIENTATION = 274  # the number of the tag
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What undoes an orientation, which Pillow applies to TIFF alone."""


def read_tiff(path: Path, indices: bool = False) -> Array:
    """The pixels (H, W) or (H, W, C) of a file, of whatever type it has.

    Args:
        path: The file.
        indices: Whether the indices of a palette image are wanted in place of its colours.

    Raises:
        ValueError: If it is no TIFF file, is damaged, or holds several frames.
        OSError: If it cannot be opened.
    """
    with _page(path) as page:
        wants_indices = indices and page.photometric == _PALETTE
        if _is_pillows(page) and not (wants_indices and page.bitspersample >= 8):
            return _by_pillow(path, page, wants_indices)
        try:
            pixels: Array = page.asarray()
        except (ValueError, NotImplementedError, ImportError) as error:  # damaged, or imagecodecs is needed for it
            try:
                return _by_pillow(path, page, wants_indices)
            except (OSError, ValueError):
                raise error from None
        if "S" in page.axes:  # the samples of a pixel, which may come first
            pixels = np.moveaxis(pixels, page.axes.index("S"), -1)
        return _inverted(pixels, page.bitspersample) if page.photometric == _MINISWHITE else pixels


def probe_tiff(path: Path) -> tuple[int, Size]:
    """Channels and (height, width) from the header alone.

    Raises:
        ValueError: As ``read_tiff``, as far as a header tells it.
        OSError: If it cannot be opened.
    """
    with _page(path) as page:
        channels = 3 if page.photometric in _CONVERTED else page.samplesperpixel
        return 1 if channels == 2 else channels, (page.imagelength, page.imagewidth)


@contextmanager
def _page(path: Path) -> Iterator[Any]:
    """The only frame of a file."""
    import tifffile  # only where such a file is read

    with tifffile.TiffFile(path) as file:
        frames = len(file.pages)
        if not frames:
            raise ValueError("holds no image")
        page: Any = file.pages.first
        if frames == 1 and (file.is_imagej or file.is_shaped):  # several frames may share a header
            frames = math.prod(file.series[0].shape) // max(1, math.prod(page.shape))
        refuse_frames(frames)
        limit = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)
        if page.imagelength * page.imagewidth > limit:
            raise ValueError(f"is too large: it has more than {limit:,} pixels")
        yield page


def _is_pillows(page: Any) -> bool:
    is_packed_grey = page.photometric in (_MINISWHITE, _MINISBLACK) and 1 < page.bitspersample < 8
    return page.photometric in _CONVERTED or is_packed_grey


def _by_pillow(path: Path, page: Any, indices: bool) -> Array:
    with opened(path) as image:
        if page.bitspersample > 8 and image.mode not in _DEEP:
            raise ValueError(f"has {page.bitspersample} bits a channel, of which Pillow keeps 8")
        image.load()
        turned, orientation = resolved(image, indices), page.tags.valueof(_ORIENTATION)
        pixels = np.asarray(turned.transpose(_BACK[orientation]) if orientation in _BACK else turned)
        # Pillow inverts 8 bits and fewer by itself.
        is_inverse = page.photometric == _MINISWHITE and image.mode in ("I;16", "I;16B")
        return _inverted(pixels, page.bitspersample) if is_inverse else pixels


def _inverted(pixels: Array, bits: int) -> Array:
    """With 0 for black; signed and floating-point numbers, and whole ones of more bits, know no white and stay."""
    if pixels.dtype == np.bool_:
        return ~pixels
    return (2**bits - 1) - pixels if pixels.dtype in (np.uint8, np.uint16) else pixels
