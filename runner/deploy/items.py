"""A sample to be predicted, and where each of its inputs is read from.

C: channels, H: height, W: width, L: length, F: features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runner.data.confine import Root
from runner.data.decode import read_image
from runner.data.source import Array
from runner.data.table import numbers_of
from runner.deploy.array_rows import ArrayFiles, fitted, is_arrays
from runner.runs.signature import Values


class Part(Protocol):
    """One input of a sample."""

    def read(self, stored: Values) -> Array:
        """An image (C, H, W) of any size, a signal (C, L), or features (F,).

        Args:
            stored: The input as the run was trained on it.

        Raises:
            Exception: Whatever its reader stumbles over; it is the fault of the file.
        """
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One sample to be predicted."""

    name: str
    """What it is called in the result: the path as it was given, with its row in a table or an array."""
    relative: str
    """The path of its file below the folder, or the table, that was given; a mask is named after it."""
    parts: tuple[Part, ...]
    """Its inputs, in the order of the model's arguments."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image in a file of its own."""

    path: Path

    def read(self, stored: Values) -> Array:
        """With the channels of the run, and the depth of the file."""
        return read_image(self.path, stored.shape[0])


@dataclass(frozen=True, slots=True)
class ArrayRow:
    """A row of an array; the whole array where it is a single sample."""

    files: ArrayFiles
    path: Path
    name: str | int
    row: int | None

    def read(self, stored: Values) -> Array:
        """In the type of the run."""
        values = self.files.open(self.path)[self.name]
        return fitted(values if self.row is None else values[self.row], stored)


@dataclass(frozen=True, slots=True)
class FileInTable:
    """A file that a table names: an image, or an array of one sample.

    Its name may not lead out of the table's folder.
    """

    root: Root
    name: str
    files: ArrayFiles

    def read(self, stored: Values) -> Array:
        """As an image, or in the type of the run."""
        path = self.root.file(self.name)
        if not is_arrays(path):
            if len(stored.shape) != 3:
                raise ValueError("is no file of an array: .npy, .npz, .pt")
            return read_image(path, stored.shape[0])
        arrays = self.files.open(path)
        return fitted(arrays[arrays.only()], stored)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers as they stand in a table."""

    cells: tuple[str, ...]

    def read(self, stored: Values) -> Array:
        """(F,) float32."""
        values, problems = numbers_of([self.cells])
        if problems:
            raise ValueError(problems[0])
        row: Array = values[0]
        return row


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that could not even be opened."""

    reason: str

    def read(self, stored: Values) -> Array:
        """Nothing."""
        raise ValueError(self.reason)
