"""Images and what is to be learnt of them, listed in CSV files."""

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from runner.data import fingerprint
from runner.data.confine import Root
from runner.data.decode import Fit
from runner.data.files import NUM_SHOWN, Problem, header_of, report, require_folder, with_extension
from runner.data.labels import Labels, read_labels
from runner.data.lazy import hold, images_of
from runner.data.source import Array, Facts, Progress, Samples, Size, silent
from runner.data.table import Column, Rows, Table, numbers_of, parts_of
from runner.errors import UserError

_KEYS = {"train": "data.source.csv", "val": "data.source.val_csv", "test": "data.source.test_csv"}


class CsvImages:
    """Images named in one column of a CSV file, labelled in others; see ``read_labels`` for the labels.

    Args:
        csv: The CSV file (UTF-8).
        val_csv: Another one, for validation; None: none.
        test_csv: Another one, for the test; None: none.
        root: Folder that the file names start from; None: the folder of the CSV file. No name may lead out of it.
        image_column: Name or position (from 0) of the column of file names.
        label_column: Name or position (from 0) of the column of labels; several for a row of labels or values.
        feature_columns: Columns of numbers, which are the second input of a model.
        split_column: Column that says of each row whether it is for train, val or test; None: none says so.
        delimiter: What stands between two columns.
        header: Whether the first row names the columns.
        extension: Added to the file names that do not end in it, such as ``.jpg``; None adds nothing.
        classes: The labels in the order of their class numbers; None: numbers as they stand, names sorted.
        task: What the labels are: a class each, or values.
        channels: 1, 3 or 4; ``auto`` takes those of the first image.
        fit: How images are brought to the size of a sample, see ``decode.resize``.
    """

    def __init__(
        self,
        csv: str,
        val_csv: str | None = None,
        test_csv: str | None = None,
        root: str | None = None,
        image_column: Column = 0,
        label_column: Column | Sequence[Column] = 1,
        feature_columns: Sequence[Column] = (),
        split_column: Column | None = None,
        delimiter: str = ",",
        header: bool = True,
        extension: str | None = None,
        classes: Sequence[str | int] | None = None,
        task: str = "classification",
        channels: int | Literal["auto"] = "auto",
        fit: Fit = "stretch",
    ) -> None:
        self.csv = Path(csv)
        self.root = Path(root) if root is not None else self.csv.parent
        self.label_columns = [label_column] if isinstance(label_column, (str, int)) else list(label_column)
        self.split_column = split_column
        self.extension = extension
        self.classes = None if classes is None else [str(label) for label in classes]
        self.task = task
        self.channels = channels
        self.fit: Fit = fit
        others = {"val": val_csv, "test": test_csv}
        files = {"train": self.csv} | {part: Path(path) for part, path in others.items() if path is not None}
        self._table = Table(files, delimiter, header, _KEYS)
        self._columns: dict[str, Sequence[Column]] = {
            "data.source.image_column": [image_column],
            "data.source.label_column": self.label_columns,
            "data.source.feature_columns": list(feature_columns),
            "data.source.split_column": [] if split_column is None else [split_column],
        }

    def check(self) -> None:
        """Refuse a CSV file or folder that is not there, and columns that the file does not have."""
        self._table.check()
        require_folder(self.root, "data.source.root")
        for path in self._table.files.values():
            self._table.positions(self._columns, path)
            self._require_header(path)
        if self.split_column is not None and len(self._table.files) > 1:
            raise UserError(
                "data.source.split_column and files of their own for validation or test divide the data twice",
                fix="data.source.split_column=null, or data.source.val_csv=null data.source.test_csv=null",
            )

    def _require_header(self, path: Path) -> None:
        """Refuse to take the first sample for names of columns, where its image is there under that name."""
        column = self._columns["data.source.image_column"][0]
        if not self._table.header or isinstance(column, str):
            return
        title = self._table.titles_of(path)[column]
        with suppress(ValueError):
            Root(self.root).file(with_extension(title, self.extension))
            raise UserError(
                f"{path}: the first row is to name the columns, but {title} in it is an image",
                expected="a row such as image,label before the first sample",
                fix="data.source.header=false, with columns by position",
            )

    def facts(self) -> Facts:
        """Channels and size of the first image, classes and numbers from the table."""
        self.check()
        labels = self._labels
        if next(self._existing(), None) is None:
            self._resolve()
        channels, size = header_of(self._existing(), self.channels)
        return Facts(channels, size, labels.num_classes, labels.names, self._num_features or None, labels.num_values)

    def fingerprint(self) -> str:
        """Digest of the tables, and of names, sizes and times of the images."""
        files = fingerprint.of_listing([os.path.join(self.root, name) for name in self._names], self.root)
        return fingerprint.of_values(table=fingerprint.of_contents(self._table.files.values()), files=files)

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All images in the order of the table."""
        return hold(self.stream(image_size), progress)

    def stream(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All images in the order of the table, to be decoded when they are needed."""
        self.check()
        files = self._resolve()
        channels, _ = header_of(files, self.channels)
        names = [self._place(index) for index in range(len(files))]
        images = images_of(files, names, self.root, channels, image_size, self.fit)
        features = (self._features[0],) if self._num_features else ()
        key = "data.source.feature_columns"
        titles = tuple(self._table.titles[at] for at in self._table.positions({key: self._columns[key]}))
        return Samples(
            (images, *features),
            self._labels.targets,
            names=self._names,
            official=self._parts[0],
            class_names=self._labels.names,
            columns=((), titles) if titles else (),
        )

    @cached_property
    def _rows(self) -> Rows:
        return self._table.read(self._columns)

    @cached_property
    def _names(self) -> list[str]:
        return [with_extension(cells[0], self.extension) for cells in self._rows.cells]

    @cached_property
    def _labels(self) -> Labels:
        positions = self._table.positions({"data.source.label_column": self.label_columns})
        titles = [self._table.titles[position] for position in positions]
        cells = [cells[1 : 1 + len(titles)] for cells in self._rows.cells]
        return read_labels(cells, self.task, titles, "data.source.label_column", self.classes)

    @property
    def _num_features(self) -> int:
        return len(self._columns["data.source.feature_columns"])

    @cached_property
    def _features(self) -> tuple[Array, dict[int, str]]:
        start = 1 + len(self.label_columns)
        return numbers_of([cells[start : start + self._num_features] for cells in self._rows.cells])

    @cached_property
    def _parts(self) -> tuple[Array | None, dict[int, str]]:
        """The official part of each row, if there is a division, and what is wrong with it."""
        if self.split_column is not None:
            return parts_of([cells[-1] for cells in self._rows.cells])
        return (np.array(self._rows.parts) if len(self._table.files) > 1 else None), {}

    def _resolve(self) -> list[Path]:
        """The file of each row.

        Raises:
            UserError: If a row names no file of the folder, or has no valid label, numbers or part.
        """
        root = Root(self.root)
        files, problems = [], []
        wrong = {**self._parts[1], **(self._features[1] if self._num_features else {}), **self._labels.problems}
        for index, name in enumerate(self._names):
            try:
                if not name:
                    raise ValueError("it names no file")
                if index in wrong:
                    raise ValueError(wrong[index])
                files.append(root.file(name))
            except ValueError as error:
                problems.append((self._place(index), str(error)))
        if next(self._existing(), None) is None:
            raise self._no_file(problems)
        report(problems, len(self._names))
        return files

    def _no_file(self, problems: Sequence[Problem]) -> UserError:
        """What to say where not one file is there: as a rule, the names start from another folder."""
        name = next((name for name in self._names if name and "\0" not in name), "")
        file = self.root / name
        target = str(file.resolve())
        leads_to = target.removesuffix(name)
        longer = next(iter(sorted(file.parent.glob(f"{glob.escape(file.name)}.*"))), None) if name else None
        if longer:
            fix = f"data.source.extension={longer.name.removeprefix(file.name)}"
        elif file.exists() and leads_to not in ("", target):  # a link to a file of the same name elsewhere
            fix = f"data.source.root={leads_to}, where the links lead to"
        elif file.is_symlink():
            fix = "copies of the images in place of links, or a CSV file that names the images themselves"
        elif Path(name).is_absolute():
            fix = f"data.source.root={Path(name).parent}, or another folder that holds all of them"
        else:
            fix = f"data.source.root=FOLDER, from which the names start; it is {self.root.resolve()}"
        told = [f"  {where}: {what}" for where, what in problems[:NUM_SHOWN]]
        rest = [f"  ... and {len(problems) - len(told)} more"] if len(problems) > len(told) else []
        return UserError("\n".join([f"{self.csv} names no image that can be used", *told, *rest]), fix=fix)

    def _existing(self) -> Iterator[Path]:
        root = Root(self.root)
        for name in self._names:
            with suppress(ValueError):
                yield root.file(name)

    def _place(self, index: int) -> str:
        name = self._names[index].replace("\0", "?") or "(no file name)"
        return f"{self._rows.place(index, self._table.header)}: {name}"
