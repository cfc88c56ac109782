"""The checkpoint files of a run: written whole, verified when read, loadable with ``torch.load(weights_only=True)``.

A checkpoint is what ``torch.save`` writes, a zip archive, and carries its own SHA-256 as the archive's comment: any
tool that reads torch's files reads it, and a cut or altered file is told from a good one without a second file that
could disagree with it.
"""

import hashlib
import io
import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import torch

from runner.runs.files import replacing

_END_OF_ARCHIVE = b"PK\x05\x06"  # signature of the 22 bytes that end a zip archive (APPNOTE.TXT, 4.3.16)
_PREFIX = b"sha256:"
_COMMENT_BYTES = len(_PREFIX) + 64
_CHUNK_BYTES = 1 << 20
_NO_DIGEST = "it does not end with a digest: it was cut off, or another program wrote it"
SHARDS = ".shards"
"""What the name of a folder ends with that holds the parts of tensors: see ``runner.runs.shards``."""


class DamagedCheckpointError(Exception):
    """The file is not what was written, or nothing that a run writes."""


class _HashingFile(io.RawIOBase):
    """Passes on what is written and digests it on the way, so that a large state is neither held nor read twice."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.end = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.end = (self.end + bytes(data[-22:]))[-22:]
        return self.file.write(data)


def write_checkpoint(path: Path, state: dict[str, Any], check: Callable[[], None] = lambda: None) -> None:
    """Write ``state`` to ``path``: under a temporary name, flushed to the disk, then renamed.

    Args:
        path: Where to.
        state: Tensors and plain values.
        check: Called before the renaming; what it raises leaves ``path`` as it was.

    Raises:
        OSError: If the disk is full or the folder cannot be written; ``path`` is as it was then.
    """
    with replacing(path, check=check) as file:
        hashing = _HashingFile(file)
        try:
            torch.save(state, cast(IO[bytes], hashing))
        except RuntimeError as error:
            # torch's archive writer tells of an OSError in its stream by another error of its own.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        if hashing.end[:4] != _END_OF_ARCHIVE:
            raise AssertionError("torch.save no longer ends its archive without a comment")
        comment = _PREFIX + hashing.digest.hexdigest().encode()
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<H", len(comment)) + comment)


def read_checkpoint(path: Path, whole: bool = True, look_at_shards: bool = True) -> dict[str, Any]:
    """The state in a checkpoint file, its tensors on the CPU.

    Args:
        path: The file.
        whole: Whether tensors of which every process wrote a part, beside the file, are to be put together; else
            ``shards`` says where they are.
        look_at_shards: Whether to make sure of these parts too; another process may have done it.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedCheckpointError: If its digest is missing or differs, or it holds more than tensors and plain values.
    """
    state = _read_file(path)
    if "shards" not in state:
        return state
    from runner.runs import shards  # which takes a second to import

    try:
        state = shards.located(state, path.parent)
        if look_at_shards:
            shards.require_whole(state["shards"])
        return shards.completed(state) if whole else state
    except shards.DamagedShardsError as error:
        raise DamagedCheckpointError(str(error)) from error


def named_shards(path: Path) -> str | None:
    """The name of the folder beside a checkpoint file that has the parts of its tensors; None where it has them itself.

    Raises:
        DamagedCheckpointError: As ``read_checkpoint``, of the file alone.
    """
    record = _read_file(path).get("shards")
    return None if record is None else str(record["folder"])


def _read_file(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        _require_whole(file)
        file.seek(0)
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise DamagedCheckpointError(
                f"it holds more than tensors and plain values, and could run code if it were loaded{named_in(error)}"
            ) from None
    if not isinstance(state, dict):
        raise DamagedCheckpointError(f"it holds a {type(state).__name__}, not the state of a run")
    return state


def named_in(error: pickle.UnpicklingError) -> str:
    """What a refused pickle asked for, such as ``posix.system``, where torch's message tells."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f": {found[1]}" if found else ""


def _require_whole(file: IO[bytes]) -> None:
    size = file.seek(0, os.SEEK_END)
    archive_bytes = size - _COMMENT_BYTES
    if archive_bytes < 22:
        raise DamagedCheckpointError(_NO_DIGEST)
    file.seek(archive_bytes - 2)
    length, comment = struct.unpack("<H", file.read(2))[0], file.read()
    if length != _COMMENT_BYTES or not comment.startswith(_PREFIX):
        raise DamagedCheckpointError(_NO_DIGEST)
    digest = hashlib.sha256()
    file.seek(0)
    left = archive_bytes - 2
    while left:
        chunk = file.read(min(left, _CHUNK_BYTES))
        if not chunk:
            break
        digest.update(chunk)
        left -= len(chunk)
    digest.update(b"\0\0")  # the length of the comment as it was before there was one
    if comment != _PREFIX + digest.hexdigest().encode():
        raise DamagedCheckpointError("its content does not match its digest")
