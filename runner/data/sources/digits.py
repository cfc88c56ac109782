"""The handwritten digits that scikit-learn ships: 1,797 grey images of 8 x 8 pixels, ten classes.

The test set of the UCI collection "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998).
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from runner.data import fingerprint
from runner.data.decode import resize_all
from runner.data.source import Facts, Progress, Samples, Size, silent
from runner.errors import UserError

_NAMES = tuple("0123456789")


class Digits:
    """Scikit-learn's digits; their grey values 0..16 are spread over 0..255."""

    def check(self) -> None:
        """Refuse an installation without scikit-learn's file."""
        _file()

    def facts(self) -> Facts:
        """One channel, 8 x 8 pixels, ten classes."""
        return Facts(channels=1, image_size=(8, 8), num_classes=10, class_names=_NAMES)

    def fingerprint(self) -> str:
        """Digest of the file's contents."""
        return fingerprint.of_contents([_file()])

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All digits in the order of the file."""
        rows = np.loadtxt(_file(), delimiter=",", dtype=np.int64)
        grey = (rows[:, :-1].reshape(-1, 1, 8, 8) * 255 + 8) // 16
        images = resize_all(grey.astype(np.uint8), image_size)
        progress(len(images), len(images))
        return Samples(inputs=(images,), targets=rows[:, -1].copy(), class_names=_NAMES)


def _file() -> Path:
    # Found without importing scikit-learn, which takes longer than training on these digits.
    spec = find_spec("sklearn")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise UserError("scikit-learn, which brings the digits, is not installed", fix="pip install scikit-learn")
    return path
