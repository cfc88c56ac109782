"""The files of a run: written so that a reader, or the next process, never sees half of one, and read with care."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from runner.errors import UserError


def write_atomic(path: Path, content: bytes, durable: bool = True) -> None:
    """Replace ``path`` with ``content``: whenever the process is killed, it holds either the old bytes or the new ones.

    Args:
        path: The file.
        content: All of it.
        durable: Whether that is so after a power cut too: the content is flushed to the disk before it is renamed, and
            the rename is flushed, which takes milliseconds.
    """
    with replacing(path, durable) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, durable: bool = True, check: Callable[[], None] = lambda: None) -> Iterator[IO[bytes]]:
    """A new file, which takes the place of ``path`` when the ``with`` block ends, as ``write_atomic`` says.

    Args:
        path: The file; it stays as it was where the block raises.
        durable: As there.
        check: Called when all is written; what it raises leaves ``path`` as it was too.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        check()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Write ``value`` as readable JSON, atomically; numbers that JSON does not know as null."""
    write_atomic(path, as_json(value), durable)


def as_json(value: Any) -> bytes:
    """What ``write_json`` writes."""
    return (json.dumps(_plain(value), indent=2, default=str) + "\n").encode()


def end_of(path: Path, num_bytes: int) -> str:
    """The end of a text, which may be long; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - num_bytes))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def read_mapping(path: Path, parse: Callable[[str], Any], **needed: type) -> dict[str, Any]:
    """The mapping in a file of a run directory.

    Args:
        path: The file.
        parse: What reads its text.
        **needed: Keys that it must have, with the type of each.

    Raises:
        UserError: If the file is gone or damaged.
    """
    try:
        found = parse(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no mapping")
        for key, kind in needed.items():
            if not isinstance(found.get(key), kind):
                raise ValueError(f"it has no {key}")
    except FileNotFoundError:
        problem = "is not there"
    except (ValueError, yaml.YAMLError) as error:
        problem = f"is damaged: {' '.join(str(error).split())}"
    else:
        return found
    raise UserError(f"{path} {problem}", expected="the file as runner has written it", fix="put back a copy of it")


def plain_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same with None for numbers that JSON does not know: NaN and the infinite ones."""
    return {str(key): _plain(value) for key, value in record.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return plain_record(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
