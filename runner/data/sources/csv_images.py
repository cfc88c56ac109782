"""Images and their classes listed in a CSV file."""

import csv
import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from runner.data import fingerprint
from runner.data.confine import Root
from runner.data.files import NUM_SHOWN, Problem, header_of, report, require_folder
from runner.data.labels import Classes, number_classes
from runner.data.lazy import hold, images_of
from runner.data.source import Facts, Progress, Samples, Size, silent
from runner.errors import UserError, listing, nearest

_DECIMAL = re.compile(r"[+-]?\d+\.\d*[1-9]\d*")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of the CSV file that are not blank."""

    lines: list[int]
    """Where a row stands in the file, counted from 1."""
    names: list[str]
    labels: list[str]


class CsvImages:
    """Images named in one column of a CSV file, labelled in another; see ``number_classes`` for the labels.

    Args:
        csv: The CSV file (UTF-8).
        root: Folder that the file names start from; None: the folder of the CSV file. No name may lead out of it.
        image_column: Name or position (from 0) of the column of file names.
        label_column: Name or position (from 0) of the column of labels.
        delimiter: What stands between two columns.
        header: Whether the first row names the columns.
        extension: Added to the file names that do not end in it, such as ``.jpg``; None adds nothing.
        classes: The labels in the order of their class numbers; None: numbers as they stand, names sorted.
        channels: 1, 3 or 4; ``auto`` takes those of the first image.
    """

    def __init__(
        self,
        csv: str,
        root: str | None = None,
        image_column: str | int = 0,
        label_column: str | int = 1,
        delimiter: str = ",",
        header: bool = True,
        extension: str | None = None,
        classes: Sequence[str | int] | None = None,
        channels: int | Literal["auto"] = "auto",
    ) -> None:
        self.csv = Path(csv)
        self.root = Path(root) if root is not None else self.csv.parent
        self.image_column = image_column
        self.label_column = label_column
        self.delimiter = delimiter
        self.header = header
        self.extension = extension
        self.classes = None if classes is None else [str(label) for label in classes]
        self.channels = channels

    def check(self) -> None:
        """Refuse a CSV file or folder that is not there, and columns that the file does not have."""
        if not self.csv.is_file():
            raise UserError(
                f"data.source.csv: the file {self.csv} is not there",
                fix=f"data.source.csv=PATH, seen from {Path.cwd()}",
            )
        require_folder(self.root, "data.source.root")
        if len(self.delimiter) != 1:
            raise UserError(f"data.source.delimiter={self.delimiter!r}", expected="one character")
        self._positions()

    def facts(self) -> Facts:
        """Channels and size of the first image, classes from the table."""
        self.check()
        classes = self._classes
        if next(self._existing(), None) is None:
            self._resolve()
        channels, size = header_of(self._existing(), self.channels)
        return Facts(channels, size, classes.num_classes or None, classes.names)

    def fingerprint(self) -> str:
        """Digest of the table, and of names, sizes and times of the images."""
        files = fingerprint.of_listing([os.path.join(self.root, name) for name in self._table.names], self.root)
        return fingerprint.of_values(table=fingerprint.of_contents([self.csv]), files=files)

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All images in the order of the table."""
        return hold(self.stream(image_size), progress)

    def stream(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All images in the order of the table, to be decoded when they are needed."""
        self.check()
        files = self._resolve()
        channels, _ = header_of(files, self.channels)
        names = [self._place(index) for index in range(len(files))]
        images = images_of(files, names, self.root, channels, image_size)
        return Samples((images,), self._classes.targets, names=self._table.names, class_names=self._classes.names)

    @cached_property
    def _table(self) -> Table:
        name_at, label_at = self._positions()
        rows, line = [], 1
        try:
            # Not by pandas, the import of which takes longer than reading 100,000 images.
            with self.csv.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(stream, delimiter=self.delimiter, skipinitialspace=True)
                for row in reader:
                    name = row[name_at].strip() if name_at < len(row) else ""
                    label = row[label_at] if label_at < len(row) else ""
                    if (name or label.strip()) and (line > 1 or not self.header):
                        rows.append((line, name, label))
                    line = reader.line_num + 1
        except (csv.Error, UnicodeError) as error:
            raise UserError(f"{self.csv} cannot be read as a table: {error}") from error
        if not rows:
            raise UserError(f"{self.csv} has no rows", expected="a file name and a label in each")
        lines, names, labels = (list(column) for column in zip(*rows, strict=True))
        return Table(lines, [self._with_extension(name) for name in names], labels)

    @cached_property
    def _classes(self) -> Classes:
        labels = self._table.labels
        classes = number_classes(labels, self.classes)
        decimals = [labels[index].strip() for index in classes.problems if _DECIMAL.fullmatch(labels[index].strip())]
        if self.classes is None and 2 * len(decimals) > len(labels):
            raise UserError(
                f"{self.csv}: the labels in data.source.label_column={self.label_column} are decimal numbers "
                f"({listing(decimals, limit=3)})",
                expected="classes: whole numbers from 0, or names",
                fix="the column of the classes; to predict numbers, a Dataset of your own with task=regression",
            )
        return classes

    def _positions(self) -> list[int]:
        """Positions of the two columns."""
        first_row = self._first_row()
        titles = [title.strip() for title in first_row] if self.header else []
        return [
            _position(column, titles, len(first_row), f"data.source.{key}", self.csv)
            for key, column in (("image_column", self.image_column), ("label_column", self.label_column))
        ]

    def _first_row(self) -> list[str]:
        with self.csv.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
            row = next(csv.reader(stream, delimiter=self.delimiter, skipinitialspace=True), [])
        if not row:
            raise UserError(f"{self.csv} is empty", expected="a file name and a label in each row")
        return row

    def _with_extension(self, name: str) -> str:
        missing = name and self.extension and not name.lower().endswith(self.extension.lower())
        return f"{name}{self.extension}" if missing else name

    def _resolve(self) -> list[Path]:
        """The file of each row.

        Raises:
            UserError: If a row names no file of the folder, or has no valid label.
        """
        root = Root(self.root)
        files, problems = [], []
        for index, name in enumerate(self._table.names):
            try:
                if not name:
                    raise ValueError("it names no file")
                if index in self._classes.problems:
                    raise ValueError(self._classes.problems[index])
                files.append(root.file(name))
            except ValueError as error:
                problems.append((self._place(index), str(error)))
        if not files:
            raise self._no_file(problems)
        report(problems, len(self._table.names))
        return files

    def _no_file(self, problems: Sequence[Problem]) -> UserError:
        """What to say where not one row can be used: as a rule, the names start from another folder."""
        name = next((name for name in self._table.names if name), "")
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
        for name in self._table.names:
            with suppress(ValueError):
                yield root.file(name)

    def _place(self, index: int) -> str:
        line = self._table.lines[index]
        return f"{self.csv}, row {line - self.header} (line {line}): {self._table.names[index] or '(no file name)'}"


def _position(column: str | int, titles: list[str], num_columns: int, key: str, path: Path) -> int:
    if isinstance(column, int):
        if not 0 <= column < num_columns:
            raise UserError(
                f"{key}={column}: {path} has {num_columns} columns", expected=f"a position from 0 to {num_columns - 1}"
            )
        return column
    if column not in titles:
        expected = listing(titles) if titles else "a position, because data.source.header is false"
        raise UserError(
            f"{key}={column}: {path} has no column of that name", expected=expected, nearest=nearest(column, titles)
        )
    return titles.index(column)
