"""File names that were read from a file may not lead out of their folder."""

import os
import stat
from functools import cache
from pathlib import Path


class Root:
    """A folder, and the files that may be named within it."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        self._inside = os.path.join(self._folder, "")
        # Resolving costs a look at every folder of a path; most names of a list share theirs.
        self._realpath = cache(os.path.realpath)

    def file(self, name: str) -> Path:
        """The file of that name.

        Args:
            name: A path relative to the root, or an absolute one inside it.

        Raises:
            ValueError: If it lies outside after ``..`` and symbolic links are followed, is not there, or is no file.
        """
        if "\0" in name:
            raise ValueError("is no name of a file: it holds a null character")
        parent, leaf = os.path.split(os.path.join(self._folder, name))
        path = os.path.join(self._realpath(parent), leaf)
        try:
            status = os.lstat(path)
            if leaf in ("", ".", "..") or stat.S_ISLNK(status.st_mode):
                path = os.path.realpath(path)
                status = os.lstat(path)
        except OSError as error:
            self._require_inside(path)
            raise ValueError("is not there") from error
        self._require_inside(path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a file")
        return Path(path)

    def _require_inside(self, path: str) -> None:
        if not path.startswith(self._inside) and path != self._folder:
            raise ValueError(f"leads out of the folder {self._folder}, to {path}")
