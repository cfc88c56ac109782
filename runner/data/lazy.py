"""Arrays of images and masks that are not held in memory: a row is decoded from its file when it is asked for.

N: rows, B: rows asked for, T: rows of one file, such as the tiles of a picture, C: channels, H: height, W: width.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.decode import Fit, read_image, resize
from runner.data.files import Broken, attempt, decode_each, difference, report
from runner.data.source import Array, Lazy, Progress, Put, Samples, Size, silent
from runner.errors import UserError


class FileRows:
    """An array (N, ...) whose rows stand in files, for each of which all rows are decoded together.

    Args:
        names: What to call each file in a message.
        decode: Gives the rows of a file, (T, ...), by its place in ``names``. What it raises is what is wrong with the
            file. It is pickled where worker processes are not forked.
        recipe: As in ``Lazy``.
        counts: T for each file; None: 1.
    """

    def __init__(
        self,
        names: Sequence[str],
        decode: Callable[[int], Array],
        recipe: Mapping[str, Any],
        counts: Sequence[int] | None = None,
    ) -> None:
        per_file = np.ones(len(names), np.int64) if counts is None else np.asarray(counts, np.int64)
        self.recipe = recipe
        self._names = names
        self._decode = decode
        self._file_of = np.repeat(np.arange(len(names)), per_file)
        self._start_of = np.cumsum(per_file) - per_file

    def __len__(self) -> int:
        return len(self._file_of)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...), by the first file that is not broken."""
        return (len(self), *self._first[1].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, by the same file."""
        return self._first[1].dtype

    def gather(self, ids: Array) -> Array:
        """The rows with these ids (B,), as a new array (B, ...).

        Raises:
            UserError: If files are broken, or differ from the first one in size or depth; it names them.
        """
        files, place = np.unique(self._file_of[ids], return_inverse=True)
        within = ids - self._start_of[files[place]]
        wanted = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
        block = np.empty((len(ids), *self.shape[1:]), self.dtype)

        def take(number: int, rows: Array) -> None:
            block[wanted[number]] = rows[within[wanted[number]]]

        self._each(files.tolist(), take, silent)
        return block

    def fill(self, put: Put, progress: Progress = silent) -> None:
        """Decode all files and hand over their rows, in no certain order. ``progress`` counts files.

        Raises:
            UserError: As ``gather``.
        """
        starts = self._start_of.tolist()
        self._each(range(len(self._names)), lambda file, rows: put(starts[file], rows), progress)

    def _each(self, files: Sequence[int], take: Callable[[int, Array], None], progress: Progress) -> None:
        """Decode some files, and hand over the rows of each with its place in the list."""
        names = [self._names[file] for file in files]
        first_name, first = self._first
        unlike: dict[int, UserError] = {}

        def take_alike(number: int, rows: Array) -> None:
            problem = difference(first_name, first, names[number], rows[0])
            if problem is None:
                take(number, rows)
            else:
                unlike[number] = problem

        decode_each(names, lambda number: self._decode(files[number]), take_alike, progress)
        if unlike:
            raise unlike[min(unlike)]

    @cached_property
    def _first(self) -> tuple[str, Array]:
        """Name and first row of the first file that is not broken; a broken one is told when it is asked for."""
        problems = []
        for index, name in enumerate(self._names):
            rows = attempt(self._decode, index)
            if not isinstance(rows, Broken):
                return name, rows[0]
            problems.append((name, rows.reason))
        report(problems, len(self._names))
        raise AssertionError("no files at all")


def images_of(
    files: Sequence[Path],
    names: Sequence[str],
    folder: Path,
    channels: int,
    image_size: Size | None,
    fit: Fit = "stretch",
) -> FileRows:
    """The images (N, C, H, W) of as many files.

    Args:
        files: The image files.
        names: What to call each in a message.
        folder: Where they are.
        channels: 1, 3 or 4.
        image_size: Height and width to bring them to; None: as they are.
        fit: How they are brought to it.
    """
    recipe = {"folder": os.path.realpath(folder), "channels": channels, "image_size": image_size, "fit": fit}
    return FileRows(names, partial(_image, files, channels, image_size, fit), recipe)


def hold(samples: Samples, progress: Progress) -> Samples:
    """The samples with everything decoded.

    Raises:
        UserError: If files are broken, or differ in size or depth; it names them.
    """

    def held(values: Array | Lazy) -> Array:
        if isinstance(values, np.ndarray):
            return values
        block = np.empty(values.shape, values.dtype)

        def put(start: int, rows: Array) -> None:
            block[start : start + len(rows)] = rows

        values.fill(put, progress)
        return block

    return replace(samples, inputs=tuple(held(values) for values in samples.inputs), targets=held(samples.targets))


def _image(files: Sequence[Path], channels: int, image_size: Size | None, fit: Fit, index: int) -> Array:
    """The image of a file as its only row, (1, C, H, W)."""
    image = read_image(files[index], channels)
    return (image if image_size is None else resize(image, image_size, fit))[np.newaxis]
