"""MNIST and what is published in its format: idx files, laid out as torchvision lays them out.

The format: two zero bytes, the element type (8: unsigned byte), the number of dimensions, each dimension as a
big-endian 32-bit integer, then the values (LeCun, Cortes, Burges: "The MNIST database of handwritten digits").
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from runner.data.decode import resize_all
from runner.data.source import Array, Facts, Progress, Samples, Size, silent
from runner.data.sources.published import Published
from runner.errors import UserError

_UNSIGNED_BYTE = 8
_PARTS = {"train": "train", "test": "t10k"}


class MNIST(Published):
    """Handwritten digits, 60,000 to train on and 10,000 to test with, 28 x 28 grey pixels.

    Args:
        root: Folder in which ``MNIST/raw`` holds the idx files, packed (.gz) or not.
        download: Fetch them through torchvision when they are missing.
    """

    title = "MNIST"
    class_names: tuple[str, ...] = tuple("0123456789")

    def files(self) -> list[Path]:
        """Images and labels, of the training part first."""
        return [self._file(name(part)) for part in _PARTS for name in (_images, _labels)]

    def facts(self) -> Facts:
        """One channel, 28 x 28 pixels, ten classes."""
        return Facts(1, (28, 28), len(self.class_names), self.class_names)

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """The official training part, then the official test part, each in its published order."""
        self.fetch()
        images, labels = [], []
        for part in _PARTS:
            images.append(read_idx(self._file(_images(part)), ndim=3))
            labels.append(read_idx(self._file(_labels(part)), ndim=1))
            if len(images[-1]) != len(labels[-1]):
                raise UserError(
                    f"{self._file(_images(part))} has {len(images[-1])} images, "
                    f"{self._file(_labels(part))} {len(labels[-1])} labels",
                    fix="delete both and download them again",
                )
        pictures = resize_all(np.concatenate(images)[:, np.newaxis], image_size)
        progress(len(pictures), len(pictures))
        return Samples(
            inputs=(pictures,),
            targets=np.concatenate(labels).astype(np.int64),
            official=np.repeat(list(_PARTS), [len(part) for part in labels]),
            class_names=self.class_names,
        )

    def _file(self, name: str) -> Path:
        plain = self.root / self.title / "raw" / name
        packed = plain.with_name(f"{name}.gz")
        return packed if packed.is_file() and not plain.is_file() else plain


class FashionMNIST(MNIST):
    """Articles of clothing in ten classes, in the same form as MNIST (Xiao, Rasul and Vollgraf, 2017)."""

    title = "FashionMNIST"
    class_names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )


def read_idx(path: Path, ndim: int) -> Array:
    """The unsigned bytes of an idx file, packed or not.

    Raises:
        UserError: If it is not an idx file of bytes with ``ndim`` dimensions, or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken(path, f"cannot be unpacked ({error})") from error
    header = 4 + 4 * ndim
    if len(content) < header or content[:4] != bytes([0, 0, _UNSIGNED_BYTE, ndim]):
        raise _broken(path, f"is not an idx file of bytes with {ndim} dimensions")
    shape = np.frombuffer(content[4:header], dtype=">u4").tolist()
    if len(content) != header + int(np.prod(shape)):
        raise _broken(path, f"has {len(content) - header} values, where its header announces {int(np.prod(shape))}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _images(part: str) -> str:
    return f"{_PARTS[part]}-images-idx3-ubyte"


def _labels(part: str) -> str:
    return f"{_PARTS[part]}-labels-idx1-ubyte"


def _broken(path: Path, problem: str) -> UserError:
    return UserError(f"{path} {problem}", fix="delete it and download it again")
