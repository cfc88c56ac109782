"""File names that were read from a file may not lead out of their folder."""

import os
import stat
from functools import cache
from pathlib import Path


class Root:
    """A folder, and the files that may be named within it."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        # Resolving costs a look at every folder of a path; most names of a list share theirs.
        self._realpath = cache(os.path.realpath)

    def file(self, name: str) -> Path:
        """The file of that name.

        Args:
            name: A path relative to the root, or an absolute one inside it.

        Raises:
            ValueError: If it lies outside after ``..`` and symbolic links are followed, is not there, or is no file.
        """
        parent, leaf = os.path.split(os.path.join(self._folder, name))
        path = os.path.join(self._realpath(parent), leaf)
        if leaf in ("", ".", ".."):
            path = os.path.realpath(path)
        if os.path.islink(path):
            path = os.path.realpath(path)
        if os.path.commonpath([self._folder, path]) != self._folder:
            raise ValueError(f"leads out of the folder {self._folder}, to {path}")
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise ValueError("is not there") from error
        if not stat.S_ISREG(mode):
            raise ValueError("is not a file")
        return Path(path)
