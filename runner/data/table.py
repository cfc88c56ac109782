"""CSV files as rows of texts that still know where they stand."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from runner.data.source import PART_OF, PARTS, Array
from runner.errors import UserError, in_short, listing, nearest, reason_of

Column = str | int
"""The name of a column, or its position from 0."""

_OTHERS = {";": ";", "\t": r"\t", "|": "|", ",": ","}
"""Delimiters, and how each is typed."""

_END = ["\0"]
"""A line after the last one: a row of its own, unless a quote is still open."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some columns of the rows that are not blank in them."""

    files: list[Path]
    """The file of each row."""
    lines: list[int]
    """Where a row stands in its file, counted from 1."""
    parts: list[str]
    """Part of the official division that the file of a row is; empty where it is none."""
    cells: list[list[str]]
    """Of each row, the text in each column, without the blanks around it."""

    def place(self, index: int, header: bool) -> str:
        """Where a row stands, for a message."""
        line = self.lines[index]
        return f"{self.files[index]}, row {line - header} (line {line})"


class Table:
    """One CSV file, or one for each part of a division, with the same columns.

    Args:
        files: The CSV files (UTF-8) by part: ``train``, ``val``, ``test``, or ``""`` where there is one for all.
        delimiter: What stands between two columns: one character, or a backslash and a t for a tab.
        header: Whether the first row of each names the columns.
        keys: The setting that names each file, by part.
    """

    def __init__(self, files: Mapping[str, Path], delimiter: str, header: bool, keys: Mapping[str, str]) -> None:
        self.files = dict(files)
        self._delimiter = "\t" if delimiter == r"\t" else delimiter  # which no shell makes easy to type
        self.header = header
        self._keys = keys
        self._first_row = cache(self._read_first_row)

    def check(self) -> None:
        """Refuse files that are not there or are empty.

        Raises:
            UserError: With the setting that names the file.
        """
        for part, path in self.files.items():
            key = self._keys[part]
            if not path.is_file():
                raise UserError(f"{key}: the file {path} is not there", fix=f"{key}=PATH, seen from {Path.cwd()}")
        if len(self._delimiter) != 1:
            raise UserError(f"data.source.delimiter={self._delimiter!r}", expected="one character")
        for path in self.files.values():
            self._first_row(path)

    @cached_property
    def titles(self) -> list[str]:
        """The names of the columns of the first file; their positions where there is no header."""
        return self.titles_of(next(iter(self.files.values())))

    def titles_of(self, path: Path) -> list[str]:
        """The names of the columns of a file; their positions where there is no header."""
        first = self._first_row(path)
        return [title.strip() for title in first] if self.header else [str(number) for number in range(len(first))]

    def read(self, columns: Mapping[str, Sequence[Column]]) -> Rows:
        """The rows of all files, one file after another.

        Args:
            columns: The wanted columns, by the setting that names them.

        Raises:
            UserError: If a column is not there, or a file cannot be read as a table.
        """
        rows: Rows = Rows([], [], [], [])
        for part, path in self.files.items():
            positions = self.positions(columns, path)
            line, before = 1, len(rows.lines)
            # Not by pandas, the import of which takes longer than reading 100,000 rows.
            with _reading(path), path.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(chain(stream, _END), delimiter=self._delimiter, skipinitialspace=True)
                for row in reader:
                    if row == _END:
                        break
                    cells = [row[at].strip() if at < len(row) else "" for at in positions]
                    if any(cells) and (line > 1 or not self.header):
                        rows.lines.append(line)
                        rows.cells.append(cells)
                    begun, line = line, reader.line_num + 1
                else:  # the last cell has taken it in
                    raise csv.Error(f"the quote that is opened in the row from line {begun} on is never closed")
            found = len(rows.lines) - before
            if not found:
                raise UserError(f"{path} has no rows", expected="a sample in each")
            rows.files.extend([path] * found)
            rows.parts.extend([part] * found)
        return rows

    def positions(self, columns: Mapping[str, Sequence[Column]], path: Path | None = None) -> list[int]:
        """Positions of the columns in a file, by default in the first one.

        Raises:
            UserError: If one is not there.
        """
        path = path or next(iter(self.files.values()))
        first = self._first_row(path)
        titles = [title.strip() for title in first] if self.header else []
        fix = self.other_delimiter(path)
        return [
            _position(column, titles, len(first), key, path, fix)
            for key, wanted in columns.items()
            for column in wanted
        ]

    def other_delimiter(self, path: Path | None = None) -> str | None:
        """What to type where the columns of a file stand between other delimiters; None where they seem not to.

        Args:
            path: The file; None: the first one.
        """
        first = self._first_row(path or next(iter(self.files.values())))
        if len(first) > 1:
            return None
        shown = next((shown for mark, shown in _OTHERS.items() if mark in first[0]), None)
        return shown and f"'data.source.delimiter=\"{shown}\"'"

    def _read_first_row(self, path: Path) -> list[str]:
        with _reading(path), path.open(encoding="utf-8-sig", newline="") as stream:
            row = next(csv.reader(stream, delimiter=self._delimiter, skipinitialspace=True), [])
        if not row:
            raise UserError(f"{path} is empty", expected="a sample in each row")
        if any("\0" in cell for cell in row):  # every other byte of UTF-16 without a mark at its beginning
            raise _no_utf8(path)
        return row


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell what is wrong with a file that is no table."""
    try:
        yield
    except UnicodeError as error:
        raise _no_utf8(path) from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", expected="the table that the data are named in"
        ) from error
    except csv.Error as error:
        raise UserError(
            f"{path} cannot be read as a table: {reason_of(error)}", expected="each quote closed where its text ends"
        ) from error


def _no_utf8(path: Path) -> UserError:
    return UserError(
        f"{path} cannot be read as a table: it is not UTF-8",
        expected="a text in UTF-8, which spreadsheets call CSV UTF-8",
        fix=f"iconv -f {_encoding_of(path)} -t UTF-8 {path} > NEW.csv",
    )


def _encoding_of(path: Path) -> str:
    """What a text that is not UTF-8 probably is."""
    with path.open("rb") as stream:
        start = stream.read(1000)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    return "UTF-16LE" if b"\0" in start else "WINDOWS-1252"


def parts_of(texts: Sequence[str]) -> tuple[Array, dict[int, str]]:
    """The part of each sample as it is written in a column, and what is wrong with those that name none."""
    names = ", ".join(PARTS)
    problems = {
        index: f"the part '{in_short(text)}' is none of {names}" if text else f"it names no part: {names}"
        for index, text in enumerate(texts)
        if text.lower() not in PART_OF
    }
    return np.array([PART_OF.get(text.lower(), "train") for text in texts]), problems


def numbers_of(cells: Sequence[Sequence[str]]) -> tuple[Array, dict[int, str]]:
    """Texts as numbers, (N, K) float32, and what is wrong with the rows in which one is no finite number."""
    problems: dict[int, str] = {}
    values = np.zeros((len(cells), len(cells[0]) if cells else 0), np.float32)
    try:
        values[:] = np.array(cells, dtype=np.float64)
    except ValueError:
        for index, row in enumerate(cells):
            try:
                values[index] = [float(text) for text in row]
            except ValueError:
                wrong = next(text for text in row if not is_number(text))
                problems[index] = f"'{in_short(wrong)}' is no number" if wrong else "a number is missing"
    for index in np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        problems.setdefault(index, "a number is not finite")
    return values, problems


def is_number(text: str) -> bool:
    """Whether a cell is read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _position(column: Column, titles: list[str], num_columns: int, key: str, path: Path, fix: str | None) -> int:
    if isinstance(column, int):
        if not 0 <= column < num_columns:
            raise UserError(
                f"{key}={column}: {path} has {num_columns} column{'s' * (num_columns != 1)}",
                expected=f"a position from 0 to {num_columns - 1}",
                fix=fix,
            )
        return column
    if column not in titles:
        expected = listing(titles) if titles else "a position, because data.source.header is false"
        raise UserError(
            f"{key}={column}: {path} has no column of that name",
            expected=expected,
            nearest=nearest(column, titles),
            fix=fix,
        )
    return titles.index(column)
