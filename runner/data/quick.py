"""The common kinds of PNG and JPEG, decoded without the detours that Pillow takes through its file classes.

Everything here gives the pixels that Pillow gives, or None where Pillow has to look at the file itself.

PNG of 8 bits a channel goes to Pillow's own decoder in C, so its pixels are Pillow's; a small file takes two thirds of
the time. torchvision's decoder is no faster, and a file with a wrong byte among its pixels makes it crash the process.

JPEG goes to torchvision's decoder, where it is installed, which takes 0.6 to 0.8 of the time. It must not matter for a
result whether it is there, so it is used only if it agrees with Pillow to the last bit on pictures made up for the
purpose: both are built on libjpeg-turbo, whose versions agree on all but rare kinds of files. The package itself is not
imported, which would take seconds; only its library is loaded, and torch first where nobody has done so yet. Since 0.29
torchvision calls its decoders deprecated, and will remove them: JPEG is Pillow's then, as without torchvision.

H: height, W: width, C: channels.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from runner.data.source import Array

_PNG = b"\x89PNG\r\n\x1a\n"
_MODES = {0: ("L", 1), 2: ("RGB", 3), 6: ("RGBA", 4)}
"""Pillow's mode and the channels of a PNG of 8 bits, by its type of colour."""
_CHANGES_PIXELS = (b"tRNS", b"acTL")  # transparent colours, several frames

_JPEG = b"\xff\xd8\xff"
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive Huffman; the others are Pillow's
_SAMPLINGS = (b"\x11\x11\x11", b"\x21\x11\x11", b"\x22\x11\x11")  # 4:4:4, 4:2:2, 4:2:0: those that were compared
_SCAN = 0xDA  # the pixels follow
_STANDS_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length

_core: Any = getattr(Image, "core", None)
"""Pillow's decoders in C. They are not part of what it promises, so whatever goes wrong with them leads to Pillow."""

_Decode = Callable[[bytes], Array]


def pixels_of(data: bytes) -> Array | None:
    """The pixels (H, W) or (H, W, C) uint8 of the content of an image file; None: ask Pillow.

    Nothing is raised for a broken file: Pillow says what is wrong with it.
    """
    try:
        if data.startswith(_PNG):
            return _png(data)
        if data.startswith(_JPEG):
            return _jpeg(data)
    except Exception:  # decoders raise whatever they like, and Pillow's own may change from version to version
        return None
    return None


def _png(data: bytes) -> Array | None:
    width, height, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if depth != 8 or kind not in _MODES or not 0 < width * height <= _most_pixels():
        return None
    at, parts = 8, []
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if name == b"IDAT":
            parts.append(data[at + 8 : end])
        elif parts:
            break  # the chunks of pixels follow each other
        elif name in _CHANGES_PIXELS or zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return None
        at = end + 4
    mode, channels = _MODES[kind]
    # What Image.frombytes and Image.tobytes do, without their checks, which take as long as a small picture.
    image = _core.new(mode, (width, height))
    decoder = _core.zip_decoder(mode, mode, interlaced)
    decoder.setimage(image, (0, 0, width, height))
    consumed, error = decoder.decode(parts[0] if len(parts) == 1 else b"".join(parts))
    if consumed >= 0 or error:
        return None  # cut short, or damaged
    encoder = _core.raw_encoder(mode, mode, 0, 1)
    encoder.setimage(image, (0, 0, width, height))
    size = width * height * channels
    _, done, raw = encoder.encode(size)
    if done != 1 or len(raw) != size:
        return None
    pixels = np.frombuffer(raw, np.uint8)
    return pixels.reshape((height, width) if channels == 1 else (height, width, channels))


def _jpeg(data: bytes) -> Array | None:
    decode = _torchvision()
    if decode is None or b"MPF\0" in data:  # several frames
        return None
    at, frames = 2, []
    while (marker := data[at + 1]) != _SCAN:  # as far as Pillow looks before it decodes
        if data[at] != 0xFF or marker == 0xFF or marker in _STANDS_ALONE:
            return None
        if marker in _FRAMES:
            frames.append(at)
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    (frame,) = frames
    depth, height, width, channels = struct.unpack_from(">BHHB", data, frame + 4)
    if data[at] != 0xFF or depth != 8 or not 0 < width * height <= _most_pixels():
        return None
    if channels != 1 and (channels != 3 or data[frame + 11 : frame + 18 : 3] not in _SAMPLINGS):
        return None
    pixels = decode(data)
    return pixels if pixels.shape[:2] == (height, width) else None


def _most_pixels() -> int:
    """Above it Pillow warns of a decompression bomb, or refuses it."""
    return Image.MAX_IMAGE_PIXELS or 2**31


@cache
def _torchvision() -> _Decode | None:
    """Torchvision's decoder of JPEG; None where there is none, or it does not give Pillow's pixels."""
    spec = find_spec("torchvision")
    folders = (spec and spec.submodule_search_locations) or []
    libraries = [file for folder in folders for file in sorted(Path(folder).glob("image*.so"))]
    if not libraries:
        return None
    import torch  # takes seconds where nobody has imported it yet, which in a run somebody has

    try:
        torch.ops.load_library(str(libraries[0]))  # type: ignore[no-untyped-call]
        operator = torch.ops.image.decode_jpeg.default
    except (OSError, RuntimeError, AttributeError):  # of another version of torch, or without JPEG
        return None

    def decode(data: bytes) -> Array:
        content = torch.from_numpy(np.frombuffer(bytearray(data), np.uint8))
        planes: Array = operator(content, 0, False).numpy()  # as it is in the file, whatever EXIF says
        return planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)

    return decode if _agrees(decode) else None


def _agrees(decode: _Decode) -> bool:
    """Whether a decoder gives Pillow's pixels for small pictures of every common kind."""
    noise = np.random.default_rng(0).integers(0, 256, (19, 37, 3), dtype=np.uint8)
    for quality, subsampling, progressive in ((75, "4:2:0", False), (90, "4:2:2", True), (60, "4:4:4", False)):
        for picture in (Image.fromarray(noise), Image.fromarray(noise[:, :, 0])):
            stream = io.BytesIO()
            picture.save(stream, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
            try:
                decoded = decode(stream.getvalue())
            except (RuntimeError, TypeError):  # its arguments may change
                return False
            if not np.array_equal(decoded, np.asarray(Image.open(stream))):
                return False
    return True


def content_of(path: Path) -> bytes:
    """All bytes of a file. For small ones, half the time of ``Path.read_bytes``.

    Raises:
        OSError: If it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        data = os.read(descriptor, size)
    finally:
        os.close(descriptor)
    return data if len(data) == size else path.read_bytes()  # one read gives at most 2 GiB
