"""Files of arrays whose rows are samples to be predicted, or which hold a single one.

N: samples, C: channels, H: height, W: width, L: length, F: features.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from runner.data.arrays import ArrayFile, open_arrays
from runner.data.npy import load_npy
from runner.data.source import Array
from runner.errors import UserError, listing
from runner.runs.signature import Values

ARRAY_FILES = (".npy", ".npz", ".pt", ".pth")
_KEPT_OPEN = 16
"""Files: more than there are threads, which read rows that follow each other."""


def is_arrays(path: Path) -> bool:
    """Whether a file holds arrays, by its name."""
    return path.suffix.lower() in ARRAY_FILES


class Arrays:
    """The arrays of a file, each read when it is first asked for; of an ``.npy`` file no more than is looked at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.file: ArrayFile = open_arrays(path, ",", str(path))
        self._read: dict[str | int, Array] = {}

    def __getitem__(self, name: str | int) -> Array:
        if name not in self._read:
            is_one = self._path.suffix.lower() == ".npy"
            self._read[name] = load_npy(self._path, mapped=True) if is_one else self.file.read(name)
        return self._read[name]

    def only(self) -> str:
        """The name of the single array.

        Raises:
            ValueError: If there are several.
        """
        if len(self.file.names) != 1:
            raise ValueError(f"holds {listing(self.file.names)}, and not one array")
        return self.file.names[0]


class ArrayFiles:
    """Opens files of arrays, and keeps the last few open."""

    def __init__(self) -> None:
        self.open = lru_cache(_KEPT_OPEN)(Arrays)
        """The arrays of a file."""


def count_of(shape: Sequence[int], stored: Values) -> int | None:
    """How many samples an array of this shape holds; None: it is one sample without an axis that counts.

    A sample is as the run was trained on it, images of any height and width; where it has one channel, or is one
    number, that axis may be missing.

    Raises:
        ValueError: If it holds no such samples.
    """
    ndim = len(stored.shape)
    is_thin = stored.shape[0] == 1
    if len(shape) == ndim + 1:
        return shape[0]
    if len(shape) == ndim and is_thin and (ndim == 1 or shape[0] != 1):
        return shape[0]  # (N,) numbers, (N, H, W) grey images, (N, L) signals of one channel
    if len(shape) == ndim or (len(shape) == ndim - 1 and is_thin):
        return None
    raise ValueError(_unlike(shape, stored))


def fitted(values: Array, stored: Values) -> Array:
    """A sample in the type of those that the run was trained on, images of any height and width.

    Args:
        values: As it stands in the file.
        stored: The input as the run was trained on it.

    Raises:
        ValueError: If it has another shape, or values that the type cannot hold.
    """
    if values.ndim == len(stored.shape) - 1 and stored.shape[0] == 1:
        values = values[np.newaxis]
    is_image = len(stored.shape) == 3
    same = values.shape[:1] == stored.shape[:1] if is_image else values.shape == stored.shape
    if values.ndim != len(stored.shape) or not same:
        raise ValueError(_unlike(values.shape, stored))
    if values.dtype.kind not in "biuf":
        raise ValueError(f"holds no numbers, but {values.dtype}")
    wanted = np.dtype(stored.dtype)
    if is_image and wanted.kind == "u":
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > np.iinfo(wanted).max:
            raise ValueError(f"has other values than whole numbers of 0 to {np.iinfo(wanted).max}, as the run had")
    elif is_image and values.dtype.kind != "f":
        raise ValueError("has whole numbers, and the run was trained on floats of 0 to 1")
    return np.ascontiguousarray(values, dtype=wanted)


def _unlike(shape: Sequence[int], stored: Values) -> str:
    given, wanted = ("x".join(map(str, one)) or "()" for one in (shape, stored.shape))
    channels = stored.shape[0]
    last = len(stored.shape) == 3 and len(shape) >= 3 and shape[-1] == channels and channels > 1
    return f"has shape {given}, and a sample of the run {wanted}" + (": its channels are at the end" if last else "")


def inputs_in(
    file: ArrayFile, stored: Sequence[Values], named: Sequence[str | int], others: Sequence[str]
) -> tuple[list[str | int], int | None]:
    """The arrays of a file that are the inputs of a model, in their order, and the number of samples in each.

    Args:
        file: The file.
        stored: The inputs of a sample as the run was trained on them.
        named: The names that the run gave them; empty: all that is there but the label.
        others: The names of what is no input.

    Returns:
        Their names, and the number as ``count_of`` gives it.

    Raises:
        ValueError: If it has not as many arrays, or they do not hold such samples, or not as many of each.
    """
    names: list[str | int] = list(named) if len(named) == len(stored) else []
    if len(file.names) == len(stored) == 1:
        names = [file.names[0]]
    elif not names:
        names = [name for name in file.names if name not in others]
        if len(names) == len(stored) + 1 and not others:
            names = names[:-1]  # the label is the last array, unless another one is named
    if len(names) != len(stored):
        raise ValueError(f"holds {listing(file.names)}, and the model takes {len(stored)} inputs")
    try:
        counts = [count_of(file.shape(name), one) for name, one in zip(names, stored, strict=True)]
    except UserError as error:
        raise ValueError(error.what) from error
    if len(set(counts)) > 1:
        told = [f"{name} {'one' if count is None else count}" for name, count in zip(names, counts, strict=True)]
        raise ValueError(f"has unlike numbers of samples: {listing(told)}")
    if counts[0] == 0:
        raise ValueError("has no samples in it")
    return names, counts[0]
