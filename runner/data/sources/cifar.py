"""CIFAR-10: 60,000 colour photographs of 32 x 32 pixels in ten classes (Krizhevsky, 2009)."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.decode import resize_all
from runner.data.source import Array, Facts, Progress, Samples, Size, silent
from runner.data.sources.published import Published
from runner.errors import UserError

_FOLDER = "cifar-10-batches-py"
_PARTS = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class CIFAR10(Published):
    """CIFAR-10 in its Python form, as torchvision lays it out: 50,000 to train on, 10,000 to test with.

    Args:
        root: Folder that holds ``cifar-10-batches-py``.
        download: Fetch it through torchvision when files are missing.
    """

    title = "CIFAR-10"

    def files(self) -> list[Path]:
        """The batches, of the training part first."""
        return [self.root / _FOLDER / name for names in _PARTS.values() for name in names]

    def facts(self) -> Facts:
        """Three channels, 32 x 32 pixels, ten classes."""
        return Facts(channels=3, image_size=(32, 32), num_classes=10, class_names=_NAMES)

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """The official training part, then the official test part, each in its published order."""
        self.fetch()
        images, labels, official = [], [], []
        for part, names in _PARTS.items():
            for name in names:
                pictures, classes = read_batch(self.root / _FOLDER / name)
                images.append(resize_all(pictures, image_size))
                labels.append(classes)
                official += [part] * len(classes)
                progress(len(images), sum(map(len, _PARTS.values())))
        return Samples(
            inputs=(np.concatenate(images),),
            targets=np.concatenate(labels),
            official=np.array(official),
            class_names=_NAMES,
        )


def read_batch(path: Path) -> tuple[Array, Array]:
    """The images (N, 3, 32, 32) uint8 and classes (N,) int64 of one batch file.

    Raises:
        UserError: If it holds anything but arrays and plain values, or is cut short.
    """
    try:
        batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        images = np.asarray(batch[b"data"])
        classes = np.array(batch[b"labels"], dtype=np.int64)
        if images.dtype != np.uint8 or images.shape != (len(classes), 3 * 32 * 32):
            raise ValueError(f"{len(classes)} labels for data of type {images.dtype} and shape {images.shape}")
    except Exception as error:  # unpickling damaged bytes raises whatever it likes
        problem = str(error) or type(error).__name__
        raise UserError(
            f"{path} is not a batch of CIFAR-10 ({problem})", fix="delete it and download it again"
        ) from error
    return images.reshape(-1, 3, 32, 32), classes


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numbers, strings, bytes, lists, dicts and numpy arrays, and refuses to name anything else.

    A pickle can call whatever it can name, so it may name only what an array is made of.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = _PARTS_OF_ARRAYS.get((module.replace("numpy.core", "numpy._core"), name))  # its name before numpy 2
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return found


_PARTS_OF_ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # What numpy pickles an array with, up to protocol 4 and from protocol 5.
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce_ex__(4)[0],
    ("numpy._core.numeric", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
}
