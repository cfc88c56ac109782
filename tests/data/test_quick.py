"""What reads the common kinds of PNG and JPEG quickly gives Pillow's pixels, or leaves the file to Pillow."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from runner.data import quick
from runner.data.decode import read_pixels

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (13, 18, 4), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE).resize((45, 38), Image.Resampling.BICUBIC))
DEEP = RNG.integers(0, 65536, (13, 18), dtype=np.uint16)
DATA = Path(__file__).parents[3] / "shared" / "data"

has_torchvision = pytest.mark.skipif(quick._torchvision() is None, reason="no torchvision that agrees with Pillow")


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def as_pillow_reads(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def picture(mode: str, pixels: Any = SMOOTH) -> Image.Image:
    return Image.fromarray(pixels).convert(mode)


def interlaced(content: bytes) -> bytes:
    """A PNG of 8 x 8 grey pixels of one level, as Adam7 has it: seven small pictures after each other."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    level = as_pillow_reads(content)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [level[y::dy, x::dx] for x, y, dx, dy in passes]
    raw = b"".join(b"\0" + row.tobytes() for part in rows for row in part)
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    return content[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def in_many_chunks(content: bytes) -> bytes:
    """The same PNG with its pixels in chunks of seven bytes."""
    import struct
    import zlib

    at = content.index(b"IDAT")
    length = int.from_bytes(content[at - 4 : at])
    data = content[at + 4 : at + 4 + length]
    chunks = [data[start : start + 7] for start in range(0, length, 7)]
    packed = [
        struct.pack(">I", len(part)) + b"IDAT" + part + struct.pack(">I", zlib.crc32(b"IDAT" + part)) for part in chunks
    ]
    return content[: at - 4] + b"".join(packed) + content[at + 8 + length :]


TAKEN: dict[str, Callable[[], bytes]] = {
    "grey.png": lambda: saved(picture("L"), "PNG"),
    "colour.png": lambda: saved(picture("RGB"), "PNG"),
    "alpha.png": lambda: saved(picture("RGBA"), "PNG"),
    "not_packed.png": lambda: saved(picture("RGB"), "PNG", compress_level=0),
    "one_pixel.png": lambda: saved(picture("L", NOISE[:1, :1]), "PNG"),
    "interlaced.png": lambda: interlaced(saved(picture("L", NOISE[:8, :8]), "PNG")),
    "many_chunks.png": lambda: in_many_chunks(saved(picture("RGB"), "PNG")),
    "with_gamma_and_text.png": lambda: saved(picture("RGB"), "PNG", gamma=0.5, dpi=(72, 72)),
}
TAKEN_JPEG: dict[str, Callable[[], bytes]] = {
    f"{mode}-{quality}-{subsampling}{'-progressive' if progressive else ''}.jpg": (
        lambda mode=mode, quality=quality, subsampling=subsampling, progressive=progressive: saved(
            picture(mode), "JPEG", quality=quality, subsampling=subsampling, progressive=progressive
        )
    )
    for mode in ("L", "RGB")
    for quality in (10, 75, 100)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0")
    for progressive in (False, True)
}
TAKEN_JPEG["noise.jpg"] = lambda: saved(picture("RGB", NOISE), "JPEG")
TAKEN_JPEG["one_pixel.jpg"] = lambda: saved(picture("RGB", NOISE[:1, :1]), "JPEG")
TAKEN_JPEG["restarts.jpg"] = lambda: saved(picture("RGB"), "JPEG", restart_marker_blocks=2)
TAKEN_JPEG["not_ycc.jpg"] = lambda: saved(picture("RGB"), "JPEG", keep_rgb=True)
TAKEN_JPEG["turned_by_exif.jpg"] = lambda: saved(picture("RGB"), "JPEG", exif=b"Exif\0\0MM\0*" + _EXIF_TURNED)
_EXIF_TURNED = b"\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"

LEFT: dict[str, Callable[[], bytes]] = {
    "grey_alpha.png": lambda: saved(picture("LA"), "PNG"),
    "palette.png": lambda: saved(picture("RGB").quantize(8), "PNG"),
    "black_and_white.png": lambda: saved(picture("1"), "PNG"),
    "deep.png": lambda: saved(Image.fromarray(DEEP), "PNG"),
    "transparent_grey.png": lambda: saved(picture("L"), "PNG", transparency=7),
    "transparent_colour.png": lambda: saved(picture("RGB"), "PNG", transparency=(1, 2, 3)),
    "transparent_palette.png": lambda: saved(picture("RGB").quantize(8), "PNG", transparency=0),
    "frames.png": lambda: saved(picture("L"), "PNG", save_all=True, append_images=[picture("L", NOISE)]),
    "cmyk.jpg": lambda: saved(picture("CMYK"), "JPEG"),
    "other.webp": lambda: saved(picture("RGB"), "WEBP"),
    "nothing": lambda: b"",
    "text": lambda: b"no image",
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_common_png_is_decoded_as_pillow_does(name: str) -> None:
    content = TAKEN[name]()
    pixels = quick.pixels_of(content)
    assert pixels is not None
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, as_pillow_reads(content))


@has_torchvision
@pytest.mark.parametrize("name", TAKEN_JPEG)
def test_a_common_jpeg_is_decoded_as_pillow_does(name: str) -> None:
    content = TAKEN_JPEG[name]()
    pixels = quick.pixels_of(content)
    assert pixels is not None
    assert np.array_equal(pixels, as_pillow_reads(content))


@pytest.mark.parametrize("name", LEFT)
def test_the_rest_is_left_to_pillow(name: str) -> None:
    assert quick.pixels_of(LEFT[name]()) is None


@pytest.mark.parametrize("name", [*TAKEN, *TAKEN_JPEG])
def test_what_is_read_does_not_depend_on_the_quick_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes((TAKEN | TAKEN_JPEG)[name]())
    quickly = read_pixels(path)
    monkeypatch.setattr("runner.data.decode.pixels_of", lambda content: None)
    assert np.array_equal(read_pixels(path), quickly)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(["grey.png", "colour.png", "alpha.png", "many_chunks.png", "noise.jpg", "L-75-4:4:4.jpg"]),
    place=st.floats(0, 1, exclude_max=True),
    flip=st.integers(0, 255),
)
@example(name="L-75-4:4:4.jpg", place=136 / 974, flip=0xC4 ^ 0x01)  # the marker of a table of codes, behind the frame
def test_a_damaged_file_gives_what_pillow_gives_or_is_left_to_it(name: str, place: float, flip: int) -> None:
    content = bytearray((TAKEN | TAKEN_JPEG)[name]())
    at = int(place * len(content))
    damaged = bytes(content[:at]) if flip == 0 else bytes([*content[:at], content[at] ^ flip, *content[at + 1 :]])
    pixels = quick.pixels_of(damaged)
    if pixels is not None:
        assert np.array_equal(pixels, as_pillow_reads(damaged))


def test_pictures_that_pillow_warns_of_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert quick.pixels_of(TAKEN["grey.png"]()) is None
    assert quick.pixels_of(TAKEN_JPEG["noise.jpg"]()) is None


def test_without_torchvision_jpeg_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "find_spec", lambda name: None)
    monkeypatch.setattr(quick, "_torchvision", quick._torchvision.__wrapped__)
    assert quick.pixels_of(TAKEN_JPEG["noise.jpg"]()) is None


def no_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pass


def no_library_that_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "image.so").write_bytes(b"of another torch")


def no_operator(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "image.so").touch()
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    monkeypatch.setattr(torch.ops, "image", SimpleNamespace(), raising=False)


def other_arguments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(content: torch.Tensor, *, mode: str) -> torch.Tensor:
        raise AssertionError("unreachable")

    no_operator(folder, monkeypatch)
    operator = SimpleNamespace(default=decode)
    monkeypatch.setattr(torch.ops, "image", SimpleNamespace(decode_jpeg=operator), raising=False)


@pytest.mark.parametrize("future", [no_library, no_library_that_loads, no_operator, other_arguments])
def test_a_torchvision_that_has_its_decoder_no_more_leaves_jpeg_to_pillow(
    future: Callable[[Path, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It calls its decoders deprecated since 0.29, and will remove them."""
    folder = tmp_path / "torchvision"
    folder.mkdir()
    future(folder, monkeypatch)
    monkeypatch.setattr(quick, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(folder)]))
    monkeypatch.setattr(quick, "_torchvision", quick._torchvision.__wrapped__)
    content = TAKEN_JPEG["noise.jpg"]()
    assert quick.pixels_of(content) is None
    (tmp_path / "noise.jpg").write_bytes(content)
    assert np.array_equal(read_pixels(tmp_path / "noise.jpg"), as_pillow_reads(content))


def test_a_decoder_that_rounds_differently_is_not_used() -> None:
    def rounds(content: bytes) -> Any:
        pixels = as_pillow_reads(content).copy()
        pixels.flat[5] ^= 1
        return pixels

    assert quick._agrees(as_pillow_reads)
    assert not quick._agrees(rounds)


@has_torchvision
def test_the_package_torchvision_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(TAKEN_JPEG["noise.jpg"]())
    script = (
        "import sys; from pathlib import Path; from runner.data import quick; "
        "assert quick.pixels_of(Path(sys.argv[1]).read_bytes()) is not None; print('torchvision' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.jpg")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["False"]


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder of real data beside the checkout")
def test_real_photographs_are_decoded_as_pillow_does() -> None:
    files = sorted((DATA / "cats_and_dogs").rglob("*.jpg"))[::10] + sorted((DATA / "membrane").rglob("*.png"))[::10]
    assert len(files) > 300
    for file in files:
        content = file.read_bytes()
        assert np.array_equal(quick.pixels_of(content), as_pillow_reads(content)), file
