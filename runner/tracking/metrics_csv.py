"""The metrics of a run as a CSV file that any number of interruptions leaves exact."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Value = float | int | str


class MetricsCsv:
    """A CSV file with one line a row, on disk as soon as ``append`` returns.

    Floats are written with ``repr``, so ``pandas.read_csv`` gives back the same bits (before pandas 3.1 with
    ``float_precision="round_trip"``); ``nan``, ``inf`` and ``-inf`` are written as such, and a value that a row lacks
    is an empty cell.

    The file is opened for each row and closed again: a row is written once an epoch, no handle is left to leak into
    worker processes, and other machines see the row on a network file system.

    Args:
        path: The file; it is made by the first row and need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] | None = None  # None: the file has not been looked at yet
        self._num_rows = 0

    def append(self, row: Mapping[str, Value]) -> None:
        """Write one row. Columns that the file does not have yet are added on the right, empty in the rows before."""
        columns = self._load()
        new_columns = [name for name in row if name not in columns]
        if new_columns:
            self._widen(columns, new_columns)
        line = _line(row.get(name, "") for name in columns)
        with self._path.open("ab") as file:
            file.write(line)
        self._num_rows += 1

    def position(self) -> int:
        """The number of rows written so far: what ``rewind`` takes.

        Rows, not bytes: a later column makes every line before it longer.
        """
        self._load()
        return self._num_rows

    def rewind(self, position: int) -> int:
        """Forget every row after the first ``position`` ones, and a line that was cut short.

        Returns:
            How many rows the file has now: fewer than ``position`` if somebody took rows away.
        """
        self._columns = None
        if position > 0:
            self._load(position)
        else:
            self._path.unlink(missing_ok=True)
            self._num_rows = 0
        return self._num_rows

    def _load(self, max_rows: int | None = None) -> list[str]:
        """Read the header and count the rows, once; cut the file after ``max_rows`` or its last complete line."""
        if self._columns is not None:
            return self._columns
        self._columns, self._num_rows = [], 0
        if not self._path.exists():
            return self._columns
        with self._path.open("rb+") as file:
            header = file.readline()
            size = len(header) if header.endswith(b"\n") else 0
            if size:
                self._columns = next(csv.reader([header.decode()]))
                for line in file:
                    if self._num_rows == max_rows or not line.endswith(b"\n"):
                        break
                    size += len(line)
                    self._num_rows += 1
            file.truncate(size)
        return self._columns

    def _widen(self, columns: list[str], new_columns: Sequence[str]) -> None:
        """Replace the file by one with more columns, so that a reader sees either the old one or the new one."""
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as wider:
                wider.write(_line([*columns, *new_columns]))
                if columns:
                    with self._path.open("rb") as file:
                        file.readline()
                        for line in file:
                            wider.write(line[:-1] + b"," * len(new_columns) + b"\n")
                wider.flush()
                os.fsync(wider.fileno())
            temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)
        columns.extend(new_columns)


def _line(values: Iterable[Value]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([_cell(value) for value in values])
    return buffer.getvalue().encode()


def _cell(value: Value) -> Value:
    if isinstance(value, str):
        return value.replace("\r", " ").replace("\n", " ")  # a row is a line: that is how rows are counted and cut
    assert isinstance(value, float | int), f"a metric is a number or a text, not a {type(value).__name__}"
    # NumPy's float64 is a float, but prints itself as np.float64(...).
    return float(value) if isinstance(value, float) else value
