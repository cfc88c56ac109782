"""Decoded images and masks in files that are mapped into memory, shared by all runs that need the same.

For each set of samples there is a folder. Its name has the digest of all that decides the values, so that nothing in it
ever has to be changed. It holds a NumPy file for each array; a file is written beside its final name, flushed and
renamed, so that under that name it is always whole. One process builds at a time, by the operating system's lock
(``flock``) on a file in the folder; the lock goes with a process that dies, and the next one builds in its place. Where
a file system has no such lock two processes may build the same, each its own file, and the later one stays.

N: rows, B: rows asked for.
"""

import contextlib
import errno
import fcntl
import io
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_2_0

from runner.data import fingerprint
from runner.data.cache_folders import Use
from runner.data.decode import VERSION
from runner.data.source import Array, Lazy, Progress, Put, Samples, num_bytes, silent
from runner.errors import UserError
from runner.runs.files import sync_folder, write_json

Note = Callable[[str], None]
"""Told in a line what takes a while, and why."""

_DECODERS = ("pillow", "tifffile", "imagecodecs")
"""Packages whose versions may change a pixel."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_PART = ".part"


class NoRoomError(UserError):
    """The disk is full, or cannot be written."""


def default_root() -> Path:
    """Where caches are kept unless something else is asked for: ``$XDG_CACHE_HOME/runner``, or ``~/.cache/runner``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "runner"


class Mapped:
    """An array (N, ...) in a NumPy file, of which the system holds in memory what is used and what there is room for.

    Args:
        path: The file.
        recipe: As of ``Lazy``.
        use: Says that the cache is used as long as it exists.

    Raises:
        OSError: If the file is not there, or is not whole.
    """

    def __init__(self, path: Path, recipe: Mapping[str, Any], use: Use | None = None) -> None:
        self.path = path
        self.recipe = recipe
        self._use = use
        try:
            self._array: Array = np.load(path, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise OSError(f"{path} is damaged: {error}") from error

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self._array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def __reduce__(self) -> tuple[type["Mapped"], tuple[Path, Mapping[str, Any]]]:
        """A process that is not forked maps the file itself."""
        return Mapped, (self.path, self.recipe)

    def gather(self, ids: Array) -> Array:
        """The rows with these ids (B,), as a new array (B, ...)."""
        return np.take(self._array, ids, axis=0)

    def fill(self, put: Put, progress: Progress = silent) -> None:
        """Hand over everything at once."""
        put(0, self._array)
        progress(len(self), len(self))


class DiskCache:
    """The cache of the samples of one source.

    Args:
        root: Folder of all caches; it is made when it is needed.
        kind: What the folder's name begins with.
        data: Fingerprint of the data.
        samples: As they are streamed.
        about: Where the data come from, for people who look at their caches.
    """

    def __init__(self, root: Path, kind: str, data: str, samples: Samples, about: str = "") -> None:
        self._lazy = {
            name: values
            for name, values in (
                *((f"input-{number}", values) for number, values in enumerate(samples.inputs, start=1)),
                ("target", samples.targets),
            )
            if not isinstance(values, np.ndarray)
        }
        recipes = {name: dict(values.recipe) for name, values in self._lazy.items()}
        decoders = {"runner": VERSION} | {package: _version(package) for package in _DECODERS}
        digest = fingerprint.of_values(data=data, recipes=recipes, decoders=decoders)
        self.folder = root.absolute() / f"{kind}-{digest[:24]}"
        self._samples = samples
        self._about = about

    def has_all(self) -> bool:
        """Whether everything is there and whole."""
        return all(self._found(name, values) is not None for name, values in self._lazy.items())

    def keep(self, progress: Progress, note: Note) -> Samples:
        """The samples with everything that is lazy mapped from the disk, where it is decoded to if it is not there.

        Args:
            progress: Told how many files are decoded.
            note: Told when another process is waited for, or a damaged file is built again.

        Raises:
            NoRoomError: If the disk is full or cannot be written. Nothing half-written is left.
            UserError: If files are broken, or differ in size or depth; it names them.
        """
        use = Use(self.folder, self._about)
        kept = {name: self._kept(name, values, use, progress, note) for name, values in self._lazy.items()}
        inputs = [kept.get(f"input-{number}", values) for number, values in enumerate(self._samples.inputs, start=1)]
        return replace(self._samples, inputs=tuple(inputs), targets=kept.get("target", self._samples.targets))

    def remembered(self, name: str) -> Any:
        """What was remembered under that name; None where nothing was."""
        try:
            return json.loads((self.folder / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def remember(self, name: str, value: Any) -> None:
        """Write down what is dear to compute; where that cannot be, it is computed again the next time."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / f"{name}.json", value)

    def _kept(self, name: str, values: Lazy, use: Use, progress: Progress, note: Note) -> Mapped:
        found = self._found(name, values, use)
        if found is not None:
            return found
        with _no_room_told(self.folder), self._one_at_a_time(note):
            found = self._found(name, values, use)  # another process may have been at it
            if found is not None:
                return found
            path = self.folder / f"{name}.npy"
            if path.exists():
                note(f"{path} is damaged, and is built again")
            self._build(path, values, progress)
            return Mapped(path, values.recipe, use)

    def _found(self, name: str, values: Lazy, use: Use | None = None) -> Mapped | None:
        path = self.folder / f"{name}.npy"
        try:
            mapped = Mapped(path, values.recipe, use)
            whole = path.stat().st_size == len(_header(values)) + num_bytes(values)
        except OSError:
            return None
        return mapped if whole and (mapped.shape, mapped.dtype) == (values.shape, values.dtype) else None

    def _build(self, path: Path, values: Lazy, progress: Progress) -> None:
        for left in self.folder.glob(f"*{_PART}"):  # by processes that were killed: this one has the lock
            left.unlink(missing_ok=True)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_PART}")
        try:
            _write(part, values, progress)
            part.replace(path)
            sync_folder(self.folder)
        finally:
            part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _one_at_a_time(self, note: Note) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                note(f"waiting for another process that decodes the same images, into {self.folder}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    raise
            yield
        finally:
            os.close(lock)


def _write(path: Path, values: Lazy, progress: Progress) -> None:
    """Decode into a new NumPy file, by plain writes: a mapped file on a full disk would end the process."""
    header = _header(values)
    row_bytes = num_bytes(values) // len(values)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _reserve(file, len(header) + num_bytes(values))
        _write_at(file, 0, header)

        def put(start: int, rows: Array) -> None:
            _write_at(file, len(header) + start * row_bytes, np.ascontiguousarray(rows).data)

        values.fill(put, progress)
        os.fsync(file)
    finally:
        os.close(file)


def _write_at(file: int, place: int, content: bytes | memoryview) -> None:
    left = memoryview(content).cast("B")
    while left:
        written = os.pwrite(file, left, place)
        left, place = left[written:], place + written


def _reserve(file: int, size: int) -> None:
    """Find out before decoding whether there is room, where the file system can tell."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise


def _header(values: Lazy) -> bytes:
    """What a NumPy file with these values begins with."""
    stream = io.BytesIO()
    shape = tuple(map(int, values.shape))
    write_array_header_2_0(stream, {"descr": dtype_to_descr(values.dtype), "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextlib.contextmanager
def _no_room_told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in _NO_ROOM
        raise NoRoomError(
            f"the decoded images cannot be kept in {folder}: " + ("the disk is full" if full else str(error)),
            fix="data.cache_dir=FOLDER on another disk, or data.cache=none data.workers=2",
        ) from error
