"""What is to be predicted: files, folders, patterns and tables, as a list of samples that are read one by one.

C: channels, H: height, W: width, F: features.
"""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.decode import read_image
from runner.data.files import images_below
from runner.data.source import Array
from runner.data.table import Column, Table, numbers_of
from runner.errors import UserError, listing, nearest
from runner.runs.signature import Values

_FILE_COLUMNS = ("image", "file", "path", "filename")
"""What the column of file names is called, where the run does not say."""


@dataclass(frozen=True, slots=True)
class Item:
    """One sample to be predicted."""

    name: str
    """What it is called in the result: the path as it was given, or its row in a table."""
    relative: str
    """The path of its file below the folder, or the table, that was given."""
    file: Path | None
    """The image; None where there are features alone."""
    features: tuple[str, ...] = ()
    """Numbers as they stand in a table."""


@dataclass(frozen=True, slots=True)
class TableFormat:
    """How CSV files are read: as those that the run was trained on, where there were any."""

    image_column: Column | None
    feature_columns: tuple[Column, ...]
    """Columns of numbers; empty where there are none, or where all but the label are meant."""
    label_columns: tuple[Column, ...]
    delimiter: str
    header: bool
    extension: str | None

    @classmethod
    def of(cls, source: dict[str, Any]) -> "TableFormat":
        """That of a node ``data.source``."""
        shipped = source["_target_"].startswith("runner.data.sources.")
        known: dict[str, Any] = source if shipped else {}
        inputs = known.get("inputs") or []
        flat = [column for one in inputs for column in (one if isinstance(one, list) else [one])]
        label = known.get("label")
        return cls(
            image_column=known.get("image_column"),
            feature_columns=tuple(known.get("feature_columns") or [c for c in flat if not isinstance(c, dict)]),
            label_columns=tuple(label if isinstance(label, list) else [] if label is None else [label]),
            delimiter=known.get("delimiter", ","),
            header=known.get("header", True),
            extension=known.get("extension"),
        )


def find_items(given: Sequence[str], stored: Sequence[Values], table: TableFormat) -> list[Item]:
    """All samples that are meant, in the order in which they were given.

    Args:
        given: Image files, folders (with the folders in them), patterns such as ``'new/*.png'``, CSV files.
        stored: The inputs of a sample, as the run was trained on them.
        table: How a CSV file is read.

    Raises:
        UserError: If something is not there, holds no sample, or has another kind of sample than the run.
    """
    images = len(stored[0].shape) == 3
    num_features = next((one.shape[0] for one in stored if len(one.shape) == 1), 0)
    expected = len(stored) - 1 if images else len(stored)
    if expected > 1 or (not images and len(stored[0].shape) != 1) or (expected == 1 and not num_features):
        shapes = " and ".join("x".join(map(str, one.shape)) for one in stored)
        raise UserError(
            f"the run's samples are {shapes}",
            expected="images, rows of features in a CSV file, or both",
            fix="runner export, and a few lines of Python that feed it",
        )
    found: list[Item] = []
    for one in given:
        before = len(found)
        for path in _paths(one):
            if path.suffix.lower() == ".csv":
                found += _rows(path, images, num_features, table)
            elif not images or num_features:
                raise UserError(
                    f"{path}: the run needs {num_features} features for each sample",
                    expected="a CSV file with a column for each" + (", and one of image files" if images else ""),
                )
            elif path.is_dir():
                below = images_below(path)
                found += [Item(str(file), str(file.relative_to(path)), file) for file in below]
            else:
                found.append(Item(str(path), path.name, path))
        if len(found) == before:
            raise UserError(f"{one} has no images in it", expected="image files, here or in folders below")
    return found


def _paths(given: str) -> list[Path]:
    path = Path(given).expanduser()
    if path.exists():
        return [path]
    if glob.has_magic(given):
        matching = sorted(glob.glob(os.path.expanduser(given), recursive=True))
        if matching:
            return [Path(one) for one in matching]
        raise UserError(f"no file matches {given}", fix=f"a pattern as seen from {Path.cwd()}")
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, beside)
    raise UserError(
        f"{given} is not there",
        expected=f"a file, folder or pattern as seen from {Path.cwd()}",
        nearest=str(path.parent / close) if close else None,
    )


def _rows(path: Path, images: bool, num_features: int, wanted: TableFormat) -> Iterator[Item]:
    """The rows of a CSV file."""
    table = Table({"": path}, wanted.delimiter, wanted.header, {"": "INPUT"})
    table.check()
    columns: dict[str, Sequence[Column]] = {}
    if images:
        columns["the column of images"] = [_image_column(table.titles, wanted.image_column)]
    if num_features:
        columns["features"] = _feature_columns(table.titles, path, num_features, wanted)
    rows = table.read(columns)
    for number, cells in enumerate(rows.cells, start=1):
        if not images:
            yield Item(f"{path}:{number}", "", None, tuple(cells))
            continue
        name = cells[0]
        extension = wanted.extension
        if extension and not name.lower().endswith(extension.lower()):
            name += extension
        yield Item(name, name, path.parent / name, tuple(cells[1:]))


def _image_column(titles: Sequence[str], trained: Column | None) -> Column:
    """That of the run's own tables where this one has it, one with a usual name, or the first."""
    if trained is not None and (trained in titles or (isinstance(trained, int) and trained > 0)):
        return trained
    return next((title for title in titles if title.lower() in _FILE_COLUMNS), 0)


def _feature_columns(titles: Sequence[str], path: Path, count: int, wanted: TableFormat) -> Sequence[Column]:
    if wanted.feature_columns:
        return wanted.feature_columns
    labels = {str(column) for column in wanted.label_columns}
    left = [number for number, title in enumerate(titles) if title not in labels]
    if len(left) == count + 1 and not labels:  # the label of a table is its last column, unless another is named
        left = left[:-1]
    if len(left) != count:
        raise UserError(
            f"{path} has {len(left)} columns of numbers, the run was trained on {count}",
            expected=f"the columns that it was trained on, in their order; found: {listing(titles)}",
        )
    return left


class Reader:
    """Reads samples, each of which may be broken.

    Args:
        stored: The inputs of a sample as the run was trained on them, whose channels and depth images are brought to.
        cut: Makes the parts of an image that the model takes one by one, (C, H, W) to (T, C, h, w).
    """

    def __init__(self, stored: Sequence[Values], cut: Callable[[Array], Array]) -> None:
        self._stored = stored
        self._cut = cut

    def __call__(self, item: Item) -> tuple[tuple[Array, ...], tuple[int, int] | None]:
        """The inputs of a sample, each (T, ...), and the (height, width) of its image, if it has one.

        Raises:
            Exception: Whatever its reader stumbles over; it is the fault of the file.
        """
        inputs: list[Array] = []
        size = None
        if item.file is not None:
            image = read_image(item.file, self._stored[0].shape[0])
            size = (image.shape[1], image.shape[2])
            inputs.append(_with_depth(self._cut(image), self._stored[0].dtype))
        if item.features:
            values, problems = numbers_of([item.features])
            if problems:
                raise ValueError(problems[0])
            inputs.append(np.repeat(values, len(inputs[0]) if inputs else 1, axis=0))
        return tuple(inputs), size


def _with_depth(image: Array, dtype: str) -> Array:
    """An image with another depth: white stays white."""
    if image.dtype.name == dtype:
        return image
    if image.dtype.kind == "f":
        raise ValueError(f"has floating-point values, and the run was trained on {dtype}")
    shares = image.astype(np.float32) / np.iinfo(image.dtype).max
    if dtype == "float32":
        return shares
    return np.rint(shares * np.iinfo(dtype).max).astype(dtype)
