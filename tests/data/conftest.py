"""Files and samples for the tests of the data package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.data.source import Samples

WriteImage = Callable[..., Path]


@pytest.fixture
def write_image(tmp_path: Path) -> WriteImage:
    """Writes an image file below the test's folder: ``write_image("cat/1.png", size=(8, 8), value=7, mode="L")``."""

    def write(
        name: str,
        pixels: Any = None,
        *,
        size: tuple[int, int] = (4, 6),
        value: Any = 0,
        mode: str = "L",
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = size
        image = Image.new(mode, (width, height), value) if pixels is None else Image.fromarray(np.asarray(pixels))
        image.save(path, **options)
        return path

    return write


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text file below the test's folder."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def samples_of() -> Callable[..., Samples]:
    """Samples of the given classes, whose only feature is their own number: ``samples_of([0, 0, 1])``."""

    def make(classes: Any, **others: Any) -> Samples:
        classes = np.asarray(classes, dtype=np.int64)
        return Samples((np.arange(len(classes), dtype=np.float32)[:, None],), classes, **others)

    return make
