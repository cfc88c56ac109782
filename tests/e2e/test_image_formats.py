"""Files of every depth and kind, read by the whole program: the same scene gives the same numbers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.io
from PIL import Image

from runner.cli import main

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
COLOUR = np.stack([GREY, GREY[::-1], GREY.T], axis=2)
ALPHA = np.dstack([COLOUR, np.full((8, 8), 7, np.uint8)])


def _palette(path: Path) -> None:
    image = Image.fromarray(GREY // 4, mode=None).convert("L")
    indexed = Image.frombytes("P", (8, 8), image.tobytes())
    indexed.putpalette([value for number in range(64) for value in COLOUR.reshape(-1, 3)[number]])
    indexed.save(path)


def _deep_tiff(path: Path) -> None:
    skimage.io.imsave(path, GREY.astype(np.uint16) * 257, check_contrast=False)


def _deep_png(path: Path) -> None:
    Image.fromarray(GREY.astype(np.uint16) * 257).save(path)


KINDS: dict[str, tuple[str, Callable[[Path], None], np.ndarray, str]] = {
    "grey": ("png", lambda path: Image.fromarray(GREY).save(path), GREY[..., None], "uint8"),
    "grey of 16 bits": ("png", _deep_png, GREY[..., None], "uint16"),
    "colour": ("png", lambda path: Image.fromarray(COLOUR).save(path), COLOUR, "uint8"),
    "colour and alpha": ("png", lambda path: Image.fromarray(ALPHA).save(path), ALPHA, "uint8"),
    "palette": ("png", _palette, COLOUR, "uint8"),
    "TIFF": ("tif", lambda path: skimage.io.imsave(path, COLOUR, check_contrast=False), COLOUR, "uint8"),
    "TIFF of 16 bits": ("tiff", _deep_tiff, GREY[..., None], "uint16"),
}


def look(capsys: pytest.CaptureFixture[str], *typed: str) -> dict:
    assert main(["data", "data=csv_images", "data.source.csv=list.csv", "data.split={val: 1, test: 1}", *typed]) == 0
    found: dict = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[Path], None]], None]:
    """Writes four files of a kind, and list.csv with values for each, into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(extension: str, save: Callable[[Path], None]) -> None:
        names = [f"{number}.{extension}" for number in range(4)]
        for name in names:
            save(tmp_path / name)
        Path("list.csv").write_text("image,value\n" + "".join(f"{name},0.5\n" for name in names))

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_each_kind_has_the_numbers_of_its_pixels(
    kind: str,
    listed: Callable[[str, Callable[[Path], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    extension, save, pixels, stored = KINDS[kind]
    listed(extension, save)
    found = look(capsys, "task=regression", "--json")
    (image,) = found["inputs"]
    assert image["shape"] == [pixels.shape[2], 8, 8]
    assert image["stored"] == stored
    assert image["mean"] == pytest.approx((pixels / 255).mean(axis=(0, 1)).tolist())
    assert image["std"] == pytest.approx([one or 1.0 for one in (pixels / 255).std(axis=(0, 1)).round(9).tolist()])


def test_jpeg_has_the_numbers_of_its_pixels_to_what_it_loses(
    listed: Callable[[str, Callable[[Path], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    listed("jpg", lambda path: Image.fromarray(GREY).save(path, quality=100))
    (image,) = look(capsys, "task=regression", "--json")["inputs"]
    assert image["shape"] == [1, 8, 8]
    assert image["mean"] == pytest.approx([GREY.mean() / 255], abs=0.005)


@pytest.mark.parametrize("kind", ["grey of 16 bits", "palette", "TIFF of 16 bits", "colour and alpha"])
def test_a_file_of_each_kind_can_be_learnt_from(
    kind: str, listed: Callable[[str, Callable[[Path], None]], None]
) -> None:
    extension, save, _, _ = KINDS[kind]
    listed(extension, save)
    assert (
        main(
            [
                *("train", "data=csv_images", "data.source.csv=list.csv", "data.split={val: 1, test: 1}"),
                *("task=regression", "model=convnet", "model.widths=[2]", "epochs=1", "run_dir=run"),
                *("tracking.tensorboard=false", "data.batch_size=2", "device=cpu"),
            ]
        )
        == 0
    )
