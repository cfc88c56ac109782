"""Many image files: finding them, decoding them side by side, and telling which of them are broken."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from runner.cpus import allowed_cpus
from runner.data.decode import probe
from runner.data.source import Array, Progress, Size
from runner.errors import UserError, reason_of

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm")
NUM_SHOWN = 5  # broken files named in a message; the rest is counted
_MOST_THREADS = 8
_MOST_TOGETHER = 64  # samples
_WORTH_A_THREAD_S = 150e-6
"""What decoding a sample must take for threads to gain from each other: of less, too much is Python, one at a time."""

S = TypeVar("S")
T = TypeVar("T")
Problem = tuple[str, str]
"""Where something is broken (file, row), and what is wrong with it."""


def images_below(folder: Path) -> list[Path]:
    """Every image file in a folder and the folders in it, sorted by path. Hidden ones are passed over."""
    return files_below(folder, is_image)


def files_below(folder: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Every file of a wanted name in a folder and the folders in it that are not hidden, sorted by path."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if wanted(name)]
    return sorted(found)


def is_image(name: str) -> bool:
    """Whether a file name has the extension of an image and is not hidden."""
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def with_extension(name: str, extension: str | None) -> str:
    """A file's name as it is written in a table, with the extension that is left out there; nothing stays nothing."""
    missing = name and extension and not name.lower().endswith(extension.lower())
    return f"{name}{extension}" if missing else name


def require_folder(folder: Path, key: str) -> None:
    """Refuse a folder that is not there.

    Args:
        folder: The folder.
        key: The setting that names it.

    Raises:
        UserError: If it does not exist or is a file.
    """
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "is not there"
        raise UserError(f"{key}: the folder {folder} {problem}", fix=f"{key}=PATH, seen from {Path.cwd()}")


def header_of(files: Iterable[Path], channels: int | Literal["auto"]) -> tuple[int, Size]:
    """Channels and (height, width) of the first file that is an image; ``channels`` itself where it is a number.

    Raises:
        UserError: If none of them is an image.
    """
    reason = ""
    for file in files:
        header = attempt(probe, file)
        if isinstance(header, Broken):
            reason = f"; the last one tried is {file}: {header.reason}"
            continue  # told by reading, together with all others
        found, size = header
        return found if channels == "auto" else channels, size
    raise UserError(f"no image can be read{reason}")


def report(problems: Sequence[Problem], total: int) -> None:
    """Raise one error for everything that is broken.

    Args:
        problems: What is broken, in the order of the data.
        total: Number of samples that were looked at.

    Raises:
        UserError: If there are problems; it names the first few and counts them all.
    """
    if not problems:
        return
    told = [f"{where}: {what}" for where, what in problems[:NUM_SHOWN]]
    if len(problems) == 1:
        raise UserError(told[0])
    rest = len(problems) - len(told)
    lines = [f"{len(problems)} of {total} samples cannot be used", *(f"  {line}" for line in told)]
    raise UserError("\n".join([*lines, f"  ... and {rest} more"] if rest else lines))


def decode_all(names: Sequence[str], decode: Callable[[int], T], progress: Progress) -> list[T]:
    """Call ``decode(0), decode(1), ...`` in a few threads and return the results in order.

    Args:
        names: What to call each sample in a message.
        decode: Gives a sample, or whatever is wanted of it. What it raises is what is wrong with the file.
        progress: Told how many are done.

    Raises:
        UserError: If samples are broken, after all of them were tried.
    """
    decoded: dict[int, T] = {}
    decode_each(names, decode, decoded.__setitem__, progress)
    return [decoded[index] for index in range(len(names))]


def decode_each(
    names: Sequence[str], decode: Callable[[int], T], take: Callable[[int, T], None], progress: Progress
) -> None:
    """Call ``take(0, decode(0)), take(1, decode(1)), ...`` in no certain order, in a few threads where that is quicker.

    Args:
        names: What to call each sample in a message.
        decode: As for ``decode_all``.
        take: What it raises is not the fault of a file: it ends everything, and is raised again.
        progress: Told how many are done.

    Raises:
        UserError: If samples are broken, after all of them were tried.
    """
    took = 0.0  # by the newest sample

    def work(start: int) -> list[Problem]:
        nonlocal took
        problems = []
        for index in range(start, min(start + step, len(names))):
            began = time.perf_counter()
            result = attempt(decode, index)
            if isinstance(result, Broken):
                problems.append((names[index], result.reason))
            else:
                take(index, result)
            took = time.perf_counter() - began
        return problems

    threads = num_threads()
    # Handing a sample to a thread takes as long as decoding a small one, so several are handed over together.
    step = max(1, min(_MOST_TOGETHER, len(names) // (16 * threads)))
    starts, problems = range(0, len(names), step), work(0)
    with ThreadPoolExecutor(threads) as pool:
        # Decoders leave the interpreter's lock while they decode, so threads are enough.
        results = pool.map(work, starts[1:]) if threads > 1 and took > _WORTH_A_THREAD_S else map(work, starts[1:])
        try:
            progress(min(step, len(names)), len(names))
            for start, found in zip(starts[1:], results, strict=True):
                problems += found
                progress(min(start + step, len(names)), len(names))
        except BaseException:  # a request to stop: the pool would decode all that is left before it lets go
            pool.shutdown(cancel_futures=True)
            raise
    report(problems, len(names))


def difference(first_name: str, first: Array, name: str, array: Array) -> UserError | None:
    """What to say of an array that is not of the shape and depth of the first one; None where it is."""
    if array.shape != first.shape:
        sizes = [" x ".join(str(length) for length in values.shape) for values in (first, array)]
        axes = {1: "features", 2: "height x width"}.get(first.ndim, "channels x height x width")
        return UserError(
            f"{first_name} is {sizes[0]} ({axes}), but {name} is {sizes[1]}",
            expected="one size for all, or data.image_size to bring them all to",
            fix=f"data.image_size=[{first.shape[-2]},{first.shape[-1]}]" if first.ndim > 1 else None,
        )
    if array.dtype != first.dtype:
        return UserError(f"{first_name} is {first.dtype}, but {name} is {array.dtype}", expected="one depth for all")
    return None


def stack(arrays: list[Array], names: Sequence[str]) -> Array:
    """Arrays of one shape and depth in one block, (N, ...). The list is emptied on the way, to hold them only once.

    Args:
        arrays: What to stack.
        names: What to call each in a message.

    Raises:
        UserError: If one differs; it names both files.
    """
    first = arrays[0]
    for name, array in zip(names, arrays, strict=True):
        problem = difference(names[0], first, name, array)
        if problem is not None:
            raise problem
    block = np.empty((len(arrays), *first.shape), first.dtype)
    for index in range(len(arrays)):
        block[index] = arrays[index]
        arrays[index] = first
    arrays.clear()
    return block


def num_threads() -> int:
    """How many read files side by side."""
    return min(_MOST_THREADS, allowed_cpus())


class Broken(NamedTuple):
    """In place of what cannot be decoded."""

    reason: str


def attempt(read: Callable[[S], T], one: S) -> T | Broken:
    """``read(one)``, or what is wrong with the file."""
    try:
        return read(one)
    except FileNotFoundError:
        return Broken("is not there")
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like on a broken file
        return Broken(_reason(error))


def _reason(error: Exception) -> str:
    if type(error) is ValueError:
        return str(error)
    if type(error).__name__ == "UnidentifiedImageError":
        return "is not an image that can be read"
    return f"cannot be read ({reason_of(error)})"
