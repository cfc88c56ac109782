"""From an image file to pixels with the wanted channels and size.

Pixels keep their depth: uint8 stays uint8, uint16 stays uint16, floating point becomes float32, black and white
becomes 0 and 255. The number of channels is changed by these rules:

    to 1    grey as it is; colour by the luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B
    to 3    grey three times; colour as it is
    to 4    as to 3, with the alpha channel of the file, or an opaque one
    alpha   is dropped where it is not wanted: the colour below it counts, nothing is blended
    palette is resolved to its colours (for a mask, its indices count)

EXIF orientation is not applied. 16-bit colour PNG arrives as 8 bits, because Pillow has no deeper colour.

H: height, W: width, C: channels.
"""

import io
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from runner.data.modes import CHANNELS, opened, resolved
from runner.data.quick import content_of, pixels_of
from runner.data.source import Array, Size
from runner.data.tiff import probe_tiff, read_tiff

Fit = Literal["stretch", "crop"]
"""How images of another shape are brought to the size of a sample: see ``resize``."""
VERSION = 2
"""To be raised whenever a change of the code gives other pixels for a file: what was kept is not used any more then."""

_TIFF = (".tif", ".tiff")
_LUMA_16 = np.array([19595, 38470, 7471], dtype=np.int64)  # the weights times 2**16, as Pillow has them


def read_pixels(path: Path) -> Array:
    """The pixels of an image file, (H, W) or (H, W, C) with C of 2 (grey and alpha), 3 or 4.

    TIFF is read as tiff.py says, the other formats by Pillow, or by what gives the same pixels in less time (see
    quick.py): from several threads, and never dependent on what is installed.

    Raises:
        ValueError: If the file is no image, is cut short, or holds several frames.
        OSError: If it cannot be opened.
    """
    if _is_tiff(path):
        return _as_supported(read_tiff(path))
    content = content_of(path)
    pixels = pixels_of(content)
    if pixels is not None:
        return pixels
    with opened(io.BytesIO(content)) as image:
        return _as_supported(np.asarray(resolved(image)))


def read_mask(path: Path) -> Array:
    """The values of a mask file, (H, W) uint8 or uint16; those of a palette image are its indices.

    Raises:
        ValueError: If it is no image, or a colour image whose channels differ.
        OSError: If it cannot be opened.
    """
    if _is_tiff(path):
        values = _as_supported(read_tiff(path, indices=True))
    else:
        with opened(path) as image:
            values = _as_supported(np.asarray(resolved(image, indices=True)))
    if values.ndim == 3:
        colours = values[:, :, : 1 if values.shape[2] == 2 else 3]
        if not (colours == colours[:, :, :1]).all():
            raise ValueError("is a colour picture, where a mask has one value for each pixel")
        values = colours[:, :, 0]
    if values.dtype == np.float32:
        raise ValueError("has floating-point values, where a mask has whole numbers")
    return values


def read_image(path: Path, channels: int) -> Array:
    """The image in a file as (C, H, W) with the wanted number of channels."""
    return with_channels(read_pixels(path), channels)


def from_pillow(image: Image.Image) -> Array:
    """An image that is open already as (C, H, W), as its file would be read.

    Raises:
        ValueError: If it has other values than images can have.
    """
    return with_channels(_as_supported(np.asarray(resolved(image))), CHANNELS.get(image.mode, 3))


def probe(path: Path) -> tuple[int, Size]:
    """Channels and (height, width) from the header alone, as reading gives them.

    Raises:
        ValueError: If it cannot be read, as far as a header tells it.
        OSError: If it cannot be opened.
    """
    if _is_tiff(path):
        return probe_tiff(path)
    with opened(path) as image:
        return CHANNELS.get(image.mode, 3), (image.height, image.width)


def with_channels(pixels: Array, channels: int) -> Array:
    """Pixels (H, W) or (H, W, C) as (channels, H, W), by the rules at the top of this file.

    Args:
        pixels: uint8, uint16 or float32.
        channels: 1, 3 or 4.
    """
    planes = [pixels] if pixels.ndim == 2 else list(np.moveaxis(pixels, 2, 0))
    has_alpha = len(planes) in (2, 4)
    colours = planes[:-1] if has_alpha else planes
    if channels == 1:
        return _luma(colours)[np.newaxis] if len(colours) == 3 else colours[0][np.newaxis].copy()
    if len(colours) == 1:
        colours = colours * 3
    if channels == 4:
        colours = [*colours, planes[-1] if has_alpha else np.full_like(colours[0], _white(pixels.dtype))]
    return np.stack(colours)


def resize(image: Array, size: Size, fit: Fit = "stretch") -> Array:
    """An image (C, H, W) at another (height, width): bilinear, and smoothed before it is made smaller.

    Args:
        image: uint8, uint16 or float32.
        size: Height and width.
        fit: ``stretch`` changes the proportions where they differ; ``crop`` keeps them: the largest middle part with
            the proportions of ``size`` is resized.
    """
    image = _covering(image, size) if fit == "crop" else image
    if image.shape[1:] == size:
        return image
    planes = image if image.dtype == np.uint8 else image.astype(np.float32)
    resized = np.stack([_resized(plane, size, Image.Resampling.BILINEAR) for plane in planes])
    return resized if image.dtype.kind == "f" else np.rint(resized).astype(image.dtype)


def resize_mask(mask: Array, size: Size, fit: Fit = "stretch") -> Array:
    """A mask (H, W) at another (height, width): each pixel takes the value of the nearest one. ``fit``: as above."""
    mask = _covering(mask, size) if fit == "crop" else mask
    return mask if mask.shape == size else _resized(mask, size, Image.Resampling.NEAREST)


def resize_all(images: Array, size: Size | None, fit: Fit = "stretch") -> Array:
    """Images (N, C, H, W), each brought to a size by ``resize``; None: as they are."""
    if size is None or images.shape[2:] == size:
        return images
    return np.stack([resize(image, size, fit) for image in images])


def resize_masks(masks: Array, size: Size | None, fit: Fit = "stretch") -> Array:
    """Masks (N, H, W), each brought to a size by ``resize_mask``; None: as they are."""
    if size is None or masks.shape[1:] == size:
        return masks
    return np.stack([resize_mask(mask, size, fit) for mask in masks])


def _covering(pixels: Array, size: Size) -> Array:
    """The largest middle part of (..., H, W) with the proportions of a size, to the pixel."""
    height, width = pixels.shape[-2:]
    scale = min(height / size[0], width / size[1])
    h, w = min(height, round(size[0] * scale)), min(width, round(size[1] * scale))
    top, left = (height - h) // 2, (width - w) // 2
    return pixels[..., top : top + h, left : left + w]


def _resized(plane: Array, size: Size, resampling: Image.Resampling) -> Array:
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), resampling))


def _is_tiff(path: Path) -> bool:
    return os.fspath(path).lower().endswith(_TIFF)


def _as_supported(pixels: Array) -> Array:
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 2, 3, 4)):
        raise ValueError(f"has the shape {pixels.shape}, where (height, width) with 1 to 4 channels is expected")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    if pixels.dtype.kind in "iu" and pixels.dtype != np.uint8:
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("has values outside 0..65535")
        return pixels.astype(np.uint8 if pixels.dtype.itemsize == 1 else np.uint16)
    return pixels


def _luma(colours: list[Array]) -> Array:
    red, green, blue = colours
    if red.dtype == np.float32:
        return (0.299 * red + 0.587 * green + 0.114 * blue).astype(np.float32)
    total = red * _LUMA_16[0] + green * _LUMA_16[1] + blue * _LUMA_16[2]
    rounded: Array = (total + 2**15) >> 16
    return rounded.astype(red.dtype)


def _white(dtype: np.dtype[Any]) -> float:
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
