"""Digests by which a run recognises its data."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.source import Array


def of_values(**values: Any) -> str:
    """Digest of plain values, for data that are computed from them."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def of_contents(files: Iterable[Path]) -> str:
    """Digest of what stands in the files, in this order; neither name nor date counts."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def of_listing(files: Iterable[Path | str], root: Path) -> str:
    """Digest of names (relative to ``root``), sizes and times of change: cheap, where contents would be dear.

    A file that is not there counts as such, so that its absence is told by reading and not here. Names that are not
    UTF-8 count by their bytes.
    """
    digest, folder = hashlib.sha256(), os.path.join(root, "")
    for file in files:
        path = os.fspath(file)
        digest.update(f"{path.removeprefix(folder)}\0{_state_of(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _state_of(path: str) -> str:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # what holds a zero byte is no name of a file
        return "missing"
    return f"{status.st_size}\0{status.st_mtime_ns}"


def of_arrays(arrays: Iterable[Array]) -> str:
    """Digest of types, shapes and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
