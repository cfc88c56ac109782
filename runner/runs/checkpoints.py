"""The checkpoints of a run: written whole, verified when read, loadable with ``torch.load(weights_only=True)``.

A checkpoint is what ``torch.save`` writes, a zip archive, and carries its own SHA-256 as the archive's comment: any
tool that reads torch's files reads it, and a cut or altered file is told from a good one without a second file that
could disagree with it.
"""

import hashlib
import io
import os
import struct
from pathlib import Path
from typing import Any

import torch

from runner.errors import UserError
from runner.runs.files import sync_folder, write_atomic

_END_OF_ARCHIVE = b"PK\x05\x06"  # signature of the 22 bytes that end a zip archive (APPNOTE.TXT, 4.3.16)
_PREFIX = b"sha256:"
_COMMENT_BYTES = len(_PREFIX) + 64


class DamagedCheckpointError(Exception):
    """The file is not what was written."""


def dumps(state: dict[str, Any]) -> bytes:
    """``state`` as the bytes of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    archive = buffer.getvalue()
    if archive[-22:-18] != _END_OF_ARCHIVE:
        raise AssertionError("torch.save no longer ends its archive without a comment")
    comment = _PREFIX + hashlib.sha256(archive).hexdigest().encode()
    return archive[:-2] + struct.pack("<H", len(comment)) + comment


def loads(content: bytes) -> dict[str, Any]:
    """The state in the bytes of a checkpoint file, its tensors on the CPU.

    Raises:
        DamagedCheckpointError: If the digest is missing or differs.
    """
    archive, comment = content[: -_COMMENT_BYTES - 2] + b"\0\0", content[-_COMMENT_BYTES:]
    if comment != _PREFIX + hashlib.sha256(archive).hexdigest().encode():
        raise DamagedCheckpointError("its content does not match its digest")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    assert isinstance(state, dict)
    return state


class CheckpointStore:
    """``checkpoints/`` of one run: ``last.pt``, the one before it, and ``best.pt``.

    ``previous.pt`` exists so that a ``last.pt`` that the disk damaged costs the steps since the save
    before it, not the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, state: dict[str, Any], *, best: bool) -> None:
        """Write ``last.pt``; with ``best`` the same bytes are ``best.pt`` too."""
        self.folder.mkdir(exist_ok=True)
        content = dumps(state)
        last = self.folder / "last.pt"
        if last.exists():
            _link(last, self.folder / "previous.pt")
        write_atomic(last, content)
        if best:
            _link(last, self.folder / "best.pt")

    def load(self, name: str) -> dict[str, Any]:
        """A checkpoint by name: ``last``, ``best``, or a file's path.

        Raises:
            UserError: If it does not exist or is damaged.
        """
        path = self.folder / f"{name}.pt" if name in ("last", "best", "previous") else Path(name)
        try:
            return loads(path.read_bytes())
        except FileNotFoundError:
            present = sorted(file.stem for file in self.folder.glob("*.pt"))
            raise UserError(
                f"there is no checkpoint {path}",
                expected=", ".join(present) if present else "a checkpoint, but the run has not saved one yet",
            ) from None
        except DamagedCheckpointError as error:
            raise UserError(f"the checkpoint {path} is damaged: {error}", fix="--checkpoint with another one") from None

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest good state, or None when nothing was saved; and a line on each damaged file passed over.

        Raises:
            UserError: If there are checkpoints and every one is damaged.
        """
        damaged: list[str] = []
        for path in (self.folder / "last.pt", self.folder / "previous.pt"):
            if not path.exists():
                continue
            try:
                return loads(path.read_bytes()), damaged
            except DamagedCheckpointError as error:
                damaged.append(f"{path.name} is damaged: {error}")
        if damaged:
            raise UserError(
                f"no checkpoint in {self.folder} is whole: {'; '.join(damaged)}",
                fix="put back a copy of one, or delete the folder's files to start the run over",
            )
        return None, damaged


def _link(existing: Path, name: Path) -> None:
    """Let ``name`` be a second name of ``existing``, atomically (the file behind ``existing`` is never rewritten)."""
    temporary = name.with_name(f".{name.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    os.link(existing, temporary)
    temporary.replace(name)
    sync_folder(name.parent)
