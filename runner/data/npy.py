"""The array of an ``.npy`` file."""

from pathlib import Path

import numpy as np

from runner.data.source import Array

_ZIP = b"PK\x03\x04"


def load_npy(path: Path, mapped: bool = False) -> Array:
    """The array; nothing is unpickled.

    Args:
        path: The file.
        mapped: Whether to map it into memory, so that only what is asked for is read.

    Raises:
        ValueError: If it holds something else, or is cut short.
        OSError: If it cannot be read.
    """
    with path.open("rb") as stream:
        start = stream.read(len(_ZIP))
    if not start:
        raise ValueError("it is empty")
    if start == _ZIP:
        raise ValueError("it is an .npz file by what stands in it")
    try:
        loaded: Array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except EOFError as error:
        raise ValueError("it is cut short") from error
    return loaded
