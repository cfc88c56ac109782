"""Many image files: finding them, decoding them side by side, and telling which of them are broken."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from runner.data.decode import probe, read_image, resize
from runner.data.source import Array, Progress, Size
from runner.errors import UserError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm")
NUM_SHOWN = 5  # broken files named in a message; the rest is counted

Problem = tuple[str, str]
"""Where something is broken (file, row), and what is wrong with it."""


def images_below(folder: Path) -> list[Path]:
    """Every image file in a folder and the folders in it, sorted by path. Hidden ones are passed over."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if is_image(name)]
    return sorted(found)


def is_image(name: str) -> bool:
    """Whether a file name has the extension of an image and is not hidden."""
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


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
    file = None
    for file in files:
        try:
            found, size = probe(file)
        except (OSError, ValueError):
            continue  # told by reading, together with all others
        return found if channels == "auto" else channels, size
    raise UserError(f"no image can be read; the last one tried is {file}")


def read_images(
    files: Sequence[Path], names: Sequence[str], channels: int, image_size: Size | None, progress: Progress
) -> Array:
    """The images of all files, (N, C, H, W).

    Args:
        files: The image files.
        names: What to call each in a message.
        channels: 1, 3 or 4.
        image_size: Height and width to bring them to; None: as they are.
        progress: Told after each image.

    Raises:
        UserError: If files are broken, or differ in size where none is given.
    """

    def decode(index: int) -> tuple[Array]:
        image = read_image(files[index], channels)
        return (image if image_size is None else resize(image, image_size),)

    return stack([image for (image,) in decode_all(names, decode, progress)], names)


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


def decode_all(
    names: Sequence[str], decode: Callable[[int], tuple[Array, ...]], progress: Progress
) -> list[tuple[Array, ...]]:
    """Call ``decode(0), decode(1), ...`` in a few threads and return the results in order.

    Args:
        names: What to call each sample in a message.
        decode: Gives the arrays of a sample. A ValueError or OSError of its own is what is wrong with the file.
        progress: Told after each sample.

    Raises:
        UserError: If samples are broken, after all of them were tried.
    """
    decoded, problems = [], []
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        # Decoders leave the interpreter's lock while they decode, so threads are enough.
        for index, result in enumerate(pool.map(lambda index: _attempt(decode, index), range(len(names)))):
            if isinstance(result, str):
                problems.append((names[index], result))
            else:
                decoded.append(result)
            progress(index + 1, len(names))
    report(problems, len(names))
    return decoded


def stack(arrays: list[Array], names: Sequence[str]) -> Array:
    """Arrays of one shape and depth in one block, (N, ...). The list is emptied on the way, to hold them only once.

    Raises:
        UserError: If two differ; it names both files.
    """
    first = arrays[0]
    for name, array in zip(names, arrays, strict=True):
        if array.shape != first.shape:
            sizes = [" x ".join(str(length) for length in values.shape) for values in (first, array)]
            axes = {1: "features", 2: "height x width"}.get(first.ndim, "channels x height x width")
            raise UserError(
                f"{names[0]} is {sizes[0]} ({axes}), but {name} is {sizes[1]}",
                expected="one size for all, or data.image_size to bring them all to",
                fix=f"data.image_size=[{first.shape[-2]},{first.shape[-1]}]" if first.ndim > 1 else None,
            )
        if array.dtype != first.dtype:
            raise UserError(f"{names[0]} is {first.dtype}, but {name} is {array.dtype}", expected="one depth for all")
    block = np.empty((len(arrays), *first.shape), first.dtype)
    for index in range(len(arrays)):
        block[index] = arrays[index]
        arrays[index] = first
    arrays.clear()
    return block


def _attempt(decode: Callable[[int], tuple[Array, ...]], index: int) -> tuple[Array, ...] | str:
    try:
        return decode(index)
    except FileNotFoundError:
        return "is not there"
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like on a broken file
        return _reason(error)


def _reason(error: Exception) -> str:
    if type(error) is ValueError:
        return str(error)
    if type(error).__name__ == "UnidentifiedImageError":
        return "is not an image that can be read"
    lines = str(error).splitlines() or [type(error).__name__]
    return f"cannot be read ({lines[0]})"
