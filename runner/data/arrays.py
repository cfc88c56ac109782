"""Files that hold whole arrays under names: PyTorch's, NumPy's, and columns of a CSV file."""

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from runner.data.npy import load_npy
from runner.data.source import Array
from runner.data.table import Column, Rows, Table, is_number, numbers_of
from runner.errors import UserError, listing, nearest, reason_of

Name = str | int | list[str | int]
"""What to take from a file: the name of an array or its position from 0; a list of columns of a CSV file."""


class ArrayFile(Protocol):
    """A file of arrays."""

    @property
    def names(self) -> list[str]:
        """Of all arrays, in the order of the file."""
        ...

    def shape(self, name: Name) -> tuple[int, ...]:
        """The shape of an array; as far as possible it is not read for that."""
        ...

    def first(self, name: Name) -> Array:
        """The first row of an array, (1, ...); as far as possible no more is read."""
        ...

    def read(self, name: Name, as_text: bool = False) -> Array:
        """An array; columns that are no numbers, as texts where that is allowed.

        Raises:
            UserError: If there is none of that name, or it holds something else.
        """
        ...


def open_arrays(path: Path, delimiter: str, key: str) -> ArrayFile:
    """The arrays of a file.

    Args:
        path: A ``.pt`` or ``.pth``, ``.npz`` or ``.npy``, or ``.csv`` file.
        delimiter: What stands between two columns of a CSV file.
        key: The setting that names the file.

    Raises:
        UserError: If it is not there, or is of another kind.
    """
    if not path.is_file():
        raise UserError(f"{key}: the file {path} is not there", fix=f"{key}=PATH, seen from {Path.cwd()}")
    kinds: dict[str, Callable[[], ArrayFile]] = {
        ".pt": lambda: TorchFile(path),
        ".pth": lambda: TorchFile(path),
        ".npz": lambda: NumpyFile(path),
        ".npy": lambda: NumpyFile(path),
        ".csv": lambda: CsvFile(path, delimiter, key),
    }
    if path.suffix.lower() not in kinds:
        raise UserError(f"{key}: {path} is of no kind that arrays are read from", expected=listing(kinds))
    return kinds[path.suffix.lower()]()


class NumpyFile:
    """An ``.npz`` file, or the single array of an ``.npy`` file under the name of the file. Nothing is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def names(self) -> list[str]:
        """Of all arrays, in the order of the file."""
        if self._is_single:
            return [self.path.stem]
        with _reading(str(self.path)), zipfile.ZipFile(self.path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]

    def shape(self, name: Name) -> tuple[int, ...]:
        """The shape of an array, by its header."""
        with self._reading(name) as known:
            if self._is_single:
                return tuple(load_npy(self.path, mapped=True).shape)
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{known}.npy") as stream:
                return _header(stream)[0]

    def first(self, name: Name) -> Array:
        """The first row of an array, (1, ...)."""
        with self._reading(name) as known:
            if self._is_single:
                return np.array(load_npy(self.path, mapped=True)[:1])
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{known}.npy") as stream:
                shape, by_column, dtype = _header(stream)
                if not by_column and not dtype.hasobject:
                    row = stream.read(math.prod(shape[1:]) * dtype.itemsize)
                    return np.frombuffer(row, dtype).reshape((-1, *shape[1:]))[:1]
        return self.read(name)[:1]

    def read(self, name: Name, as_text: bool = False) -> Array:
        """An array."""
        with self._reading(name) as known:
            return load_npy(self.path) if self._is_single else np.asarray(np.load(self.path, allow_pickle=False)[known])

    @property
    def _is_single(self) -> bool:
        return self.path.suffix.lower() == ".npy"

    @contextmanager
    def _reading(self, name: Name) -> Iterator[str]:
        """The name of an array as the file has it, while the array is read."""
        known = _known(name, self.names, self.path)
        with _reading(f"{self.path}: {known}"):
            yield known


class TorchFile:
    """A dictionary, tuple or list of tensors that ``torch.save`` wrote. Nothing is unpickled but plain values."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _tensors(self) -> dict[str, Any]:
        import torch  # only where such a file is read

        try:
            try:
                loaded = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # files of an older form cannot be mapped
                loaded = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file raises whatever its reader stumbles over
            raise UserError(
                f"{self.path} cannot be read: {reason_of(error)}",
                expected="a dictionary, tuple or list of tensors, written by torch.save",
            ) from error
        if isinstance(loaded, (tuple, list)):
            loaded = dict(enumerate(loaded))
        if isinstance(loaded, torch.Tensor):
            loaded = {self.path.stem: loaded}
        if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
            raise UserError(f"{self.path} holds something else", expected="a dictionary, tuple or list of tensors")
        sparse = [str(name) for name, value in loaded.items() if value.layout is not torch.strided]
        if sparse:
            raise UserError(f"{self.path}: {listing(sparse)} is sparse", expected="tensors that are not: to_dense()")
        return {str(name): value for name, value in loaded.items()}

    @property
    def names(self) -> list[str]:
        """Of all tensors; positions where they have no names."""
        return list(self._tensors)

    def shape(self, name: Name) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self._tensors[_known(name, self.names, self.path)].shape)

    def first(self, name: Name) -> Array:
        """The first row of a tensor, (1, ...)."""
        return self._read(name, slice(1))

    def read(self, name: Name, as_text: bool = False) -> Array:
        """A tensor as an array; types of fewer than 32 bits that NumPy lacks, as float32."""
        return self._read(name, slice(None))

    def _read(self, name: Name, rows: slice) -> Array:
        tensor = self._tensors[_known(name, self.names, self.path)].detach()[rows]
        if tensor.is_floating_point() and tensor.dtype.itemsize < 4:
            tensor = tensor.float()
        array: Array = tensor.numpy()
        return array


class CsvFile:
    """A CSV file with a header: a column is an array (N,), a list of columns is one (N, F)."""

    def __init__(self, path: Path, delimiter: str, key: str) -> None:
        self._table = Table({"": path}, delimiter, True, {"": key})
        self._table.check()
        self.path = path

    @property
    def names(self) -> list[str]:
        """Of all columns."""
        return self._table.titles

    @property
    def other_delimiter(self) -> str | None:
        """As of ``Table``."""
        return self._table.other_delimiter()

    def shape(self, name: Name) -> tuple[int, ...]:
        """(N, F) for a list of columns, (N,) for one."""
        return (len(self._rows.lines), len(name)) if isinstance(name, list) else (len(self._rows.lines),)

    def first(self, name: Name) -> Array:
        """The first row as numbers float32."""
        return self.read(name)[:1]

    def read(self, name: Name, as_text: bool = False) -> Array:
        """Columns as numbers float32; as texts, where that is allowed."""
        positions = self._table.positions({str(self.path): name if isinstance(name, list) else [name]})
        cells = [[cells[position] for position in positions] for cells in self._rows.cells]
        if as_text:
            return np.array([row[0] for row in cells] if not isinstance(name, list) else cells)
        values, problems = numbers_of(cells)
        if problems:
            index = min(problems)
            more = f", and {len(problems) - 1} more rows" if len(problems) > 1 else ""
            raise UserError(
                f"{self._rows.place(index, True)}: {problems[index]} in {_shown(name)}{more}",
                expected="a number in each row",
            )
        return values if isinstance(name, list) else values[:, 0]

    @cached_property
    def _rows(self) -> Rows:
        every: Sequence[Column] = list(range(len(self._table.titles)))
        rows = self._table.read({str(self.path): every})
        if _is_sample(self.names, rows.cells):
            raise UserError(
                f"{self.path}: the first row is to name the columns, but it is a sample: {listing(self.names)}",
                expected="a row such as age,weight,price before the first sample",
            )
        return rows


def _is_sample(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> bool:
    """Whether a row that is to name columns is one of the samples.

    It is where each column of numbers begins with a number, and each other one with a text that comes again. Columns
    that are numbered one after another are taken for named: that is how tables are written that have no names.
    """
    if all(map(is_number, titles)) and {float(b) - float(a) for a, b in pairwise(titles)} == {1.0}:
        return False
    columns = list(zip(titles, zip(*cells, strict=True), strict=True))
    numbers = [title for title, values in columns if is_number(values[0])]
    others = [title in values for title, values in columns if not is_number(values[0])]
    return bool(numbers) and all(map(is_number, numbers)) and all(others)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Tell what NumPy and zipfile raise for a damaged file as the user's mistake that it is."""
    try:
        yield
    except (ValueError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{what} cannot be read: {reason_of(error)}") from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type, by the header of an array; the stream stands at its values then."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = read(stream)
    return tuple(shape), by_column, dtype


def _known(name: Name, names: Sequence[str], path: Path) -> str:
    """The name of an array as the file has it."""
    if isinstance(name, list):
        raise UserError(f"{path}: {_shown(name)} is a list of columns", expected="the name of one array, or a CSV file")
    if str(name) in names:
        return str(name)
    if isinstance(name, int) and 0 <= name < len(names):
        return names[name]
    raise UserError(
        f"{path} has nothing of the name {name}", expected=listing(names), nearest=nearest(str(name), names)
    )


def _shown(name: Name) -> str:
    return listing(name) if isinstance(name, list) else str(name)
