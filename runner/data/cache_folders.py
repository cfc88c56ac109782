"""The caches of decoded images on a disk: which there are, who uses them, and removing them.

A process that uses a cache holds a shared lock (``flock``) on a file in its folder, whose time is that of the last use.
Whoever removes a cache holds that lock alone, so nothing goes while it is used. What a process has mapped stays whole
for it in any case.
"""

import contextlib
import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"\w+-[0-9a-f]{24}")
_USED = "used"
"""The locked file. Its text says where the images come from."""


class Use:
    """Says that a cache is used, as long as this object exists; where that cannot be said, it is used all the same.

    Args:
        folder: Of the cache; it is made if it is not there.
        about: Where the images come from, for people.
    """

    def __init__(self, folder: Path, about: str) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):  # a folder that cannot be written, a file system without locks
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / _USED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.fstat(self._file).st_size == 0:
                os.write(self._file, about.encode())
            os.utime(self._file)

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


@dataclass(frozen=True, slots=True)
class CacheFolder:
    """A cache on the disk."""

    path: Path
    data: str
    """Where the images come from."""
    num_bytes: int
    used_at: float
    """When it was last used: seconds since the epoch."""

    def remove(self) -> bool:
        """Remove it; False where a process uses it.

        Raises:
            OSError: If it may not be removed.
        """
        with (self.path / _USED).open("ab") as used, (self.path / "lock").open("ab") as building:
            try:
                for file in (used, building):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                pass  # a file system without locks: what is mapped stays whole
            shutil.rmtree(self.path)
        return True


def caches_in(root: Path) -> list[CacheFolder]:
    """The caches in a folder, the one that was used last in front; anything else in there is passed over."""
    found = [_read(path) for path in root.iterdir() if _NAME.fullmatch(path.name)] if root.is_dir() else []
    return sorted((cache for cache in found if cache), key=lambda cache: -cache.used_at)


def _read(path: Path) -> CacheFolder | None:
    """None where another process removes it at this instant."""
    try:
        files = {entry.name: entry.stat() for entry in os.scandir(path)}
        data = (path / _USED).read_text(encoding="utf-8") if _USED in files else ""
    except OSError:
        return None
    times = [files[_USED].st_mtime] if _USED in files else [status.st_mtime for status in files.values()]
    return CacheFolder(path, data, sum(status.st_size for status in files.values()), max(times, default=0.0))
