"""What a source of samples is: what it knows beforehand, and what it gives when it is read.

N: samples, C: channels, H: height, W: width, L: length, F: features, K: values for a sample.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from runner.errors import UserError

Array = npt.NDArray[Any]
Size = tuple[int, int]
Progress = Callable[[int, int], None]
"""Told after each step of a long reading: how many are done, and how many there are."""
Put = Callable[[int, Array], None]
"""Given rows (R, ...) that follow each other, and the number of the first of them."""

PARTS = ("train", "val", "test")
PART_OF = {"training": "train", "valid": "val", "validation": "val", "testing": "test"} | {part: part for part in PARTS}
"""The part that is meant by a word in small letters, in a table or as the name of a folder."""


def silent(done: int, total: int) -> None:
    """The progress that nobody watches."""


class Lazy(Protocol):
    """Stands in for an array (N, ...) whose rows are decoded when they are asked for, and then forgotten."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What decides the values besides the content of the data and the version of the decoders: plain values.

        Rows are kept on disk under it, so two arrays of other values must not have the same one.
        """
        ...

    def gather(self, ids: Array) -> Array:
        """The rows with these ids (B,), as a new array (B, ...).

        Raises:
            UserError: If one of them is broken, or is not like the others; the message names the files and rows.
        """
        ...

    def fill(self, put: Put, progress: Progress = silent) -> None:
        """Decode everything, and hand over each row once, in any order and from several threads.

        Raises:
            UserError: As ``gather``.
        """
        ...


def num_bytes(values: Lazy) -> int:
    """What an array takes in memory or on a disk once it is decoded."""
    return math.prod(values.shape) * values.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model must know before a sample is read; taken from headers and folder listings alone."""

    channels: int | None
    """Channels of an image or a signal, or the number of features: of the first input."""
    image_size: Size | None
    """Height and width; None for features and signals."""
    num_classes: int | None
    """None where there are no classes, or where only reading everything would tell."""
    class_names: tuple[str, ...] = ()
    num_features: int | None = None
    """Numbers in the row of features that comes as a second input; None where there is none."""
    num_values: int | None = 1
    """Numbers to be predicted of a sample, where targets are values."""


@dataclass(slots=True)
class Samples:
    """Data in its compact form, decoded or to be decoded when it is needed, one row for each sample.

    Raises:
        UserError: If the rows do not agree in number, or an array has a shape or type that is not listed here.
    """

    inputs: tuple[Array | Lazy, ...]
    """Images (N, C, H, W) uint8, uint16 or float32; signals (N, C, L) float32; features (N, F) float32."""
    targets: Array | Lazy
    """Classes (N,) int64; masks (N, H, W) uint8; values (N,) or (N, K) float32. Classes are never lazy."""
    names: Sequence[str] | None = None
    """What to call a sample in a message, as a rule its file name."""
    official: Array | None = None
    """(N,) of "train", "val" or "test": the division that the data were published with."""
    groups: Array | None = None
    """(N,) integers: samples of one group never fall into different splits, such as the tiles of one picture."""
    class_names: tuple[str, ...] = ()
    mask_values: tuple[int, ...] = ()
    """What stands for each class in the files of the masks; empty where the numbers of the classes do."""
    columns: tuple[tuple[str, ...], ...] = ()
    """For each input the columns of a table that it comes from, none for others; empty where no input does."""

    def __post_init__(self) -> None:
        self._check_counts()
        for position, values in enumerate(self.inputs, start=1):
            _check_kind(f"input {position}", values, _INPUT_KINDS)
        _check_kind("the target", self.targets, _TARGET_KINDS)
        if self.official is not None and not set(np.unique(self.official)) <= set(PARTS):
            raise UserError("the official division has a part of another name", expected=", ".join(PARTS))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def has_classes(self) -> bool:
        """Whether a target is one class, rather than a mask or a value."""
        return isinstance(self.targets, np.ndarray) and self.targets.ndim == 1 and self.targets.dtype == np.int64

    @property
    def classes(self) -> Array:
        """The targets (N,) int64, where they are classes."""
        assert isinstance(self.targets, np.ndarray)
        return self.targets

    def _check_counts(self) -> None:
        rows = {f"input {position}": len(values) for position, values in enumerate(self.inputs, start=1)}
        rows["targets"] = len(self.targets)
        optional = {"names": self.names, "official": self.official, "groups": self.groups}
        rows |= {label: len(values) for label, values in optional.items() if values is not None}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{label} {count}" for label, count in rows.items())
            raise UserError(
                f"the numbers of samples do not agree: {counts}", expected="one row for each sample in each"
            )
        if not self.inputs or not len(self.targets):
            raise UserError("there is not a single sample in the data")


@runtime_checkable
class Source(Protocol):
    """Somewhere that samples come from. Constructing one must be free: nothing is opened before a method is called."""

    def check(self) -> None:
        """Refuse what cannot be read, without decoding anything (under 0.3 s).

        Raises:
            UserError: If a folder or file is not there.
        """
        ...

    def facts(self) -> Facts:
        """What is known without decoding."""
        ...

    def fingerprint(self) -> str:
        """Hex digest that changes when the data change."""
        ...

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """Decode everything.

        Args:
            image_size: Height and width to bring every image to; None leaves them as they are, and they must agree.
            progress: Told how far it is.

        Raises:
            UserError: If something is broken; the message names the files and rows.
        """
        ...


@runtime_checkable
class Streaming(Source, Protocol):
    """A source whose images and masks need not be held in memory."""

    def stream(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """What ``read`` gives, with the same pixels, but images and masks are lazy.

        Args:
            image_size: As for ``read``.
            progress: Told how far it is, where all files must be looked at beforehand.

        Raises:
            UserError: If something is broken that is needed beforehand; the message names the files and rows.
        """
        ...


_INPUT_KINDS = {
    "images (N, C, H, W)": (4, ("uint8", "uint16", "float32")),
    "signals (N, C, L)": (3, ("float32",)),
    "features (N, F)": (2, ("float32",)),
}
_TARGET_KINDS = {
    "classes (N,)": (1, ("int64",)),
    "masks (N, H, W)": (3, ("uint8",)),
    "values (N,)": (1, ("float32",)),
    "values (N, K)": (2, ("float32",)),
}


def _check_kind(label: str, values: Array | Lazy, kinds: Mapping[str, tuple[int, tuple[str, ...]]]) -> None:
    if not any(len(values.shape) == ndim and values.dtype.name in dtypes for ndim, dtypes in kinds.values()):
        expected = "; ".join(f"{kind} {' or '.join(dtypes)}" for kind, (_, dtypes) in kinds.items())
        raise UserError(f"{label} has shape {values.shape} and type {values.dtype}", expected=expected)
