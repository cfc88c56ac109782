"""What is to be predicted: files, folders, patterns and tables, as a list of samples that are read one by one."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.data.files import files_below, is_image
from runner.deploy.array_rows import ARRAY_FILES, ArrayFiles, inputs_in, is_arrays
from runner.deploy.items import ArrayRow, ImageFile, Item, Unreadable
from runner.deploy.tables import Layout, rows_of
from runner.errors import UserError, nearest
from runner.runs.signature import Signature


def find_items(given: Sequence[str], signature: Signature, source: dict[str, Any]) -> list[Item]:
    """All samples that are meant, in the order in which they were given.

    Args:
        given: Image files, files of arrays, folders (with the folders in them), patterns such as ``'new/*.png'``, CSV
            files.
        signature: The inputs of a sample, as the run was trained on them.
        source: The settings of ``data.source`` of the run, as of ``Trained``.

    Raises:
        UserError: If something is not there, holds no sample, or has another kind of sample than the run.
    """
    finder = _Finder(signature, source)
    found: list[Item] = []
    for one in given:
        before = len(found)
        for path in _paths(one):
            found += finder.items_of(path)
        if len(found) == before:
            raise UserError(
                f"{one} has no {finder.wanted} in it", expected=f"{finder.wanted}, here or in folders below"
            )
    return found


class _Finder:
    """Knows which files hold samples of a run."""

    def __init__(self, signature: Signature, source: dict[str, Any]) -> None:
        stored = self._stored = signature.stored
        self._layout = Layout.of(source, signature.columns)
        self._files = ArrayFiles()
        images = len(stored) == 1 and len(stored[0].shape) == 3
        # Whoever trained on files of images means those; an array beside them is something else.
        arrays = not images or not source or source["_target_"].endswith(".Tensors")
        self._kinds = [kind for kind, holds in (("images", images), ("files of arrays", arrays)) if holds]
        self.wanted = " or ".join(self._kinds)

    def items_of(self, path: Path) -> Iterator[Item]:
        """The samples in a file or folder."""
        if path.is_dir():
            for file in files_below(path, self._is_wanted):
                yield from self._in_file(file, file.relative_to(path))
        elif path.suffix.lower() == ".csv":
            yield from rows_of(path, self._stored, self._layout, self._files)
        else:
            yield from self._in_file(path, Path(path.name))

    def _is_wanted(self, name: str) -> bool:
        kind = "images" if is_image(name) else "files of arrays" if is_arrays(Path(name)) else None
        return kind in self._kinds and not name.startswith(".")

    def _in_file(self, path: Path, relative: Path) -> Iterator[Item]:
        if is_arrays(path):
            yield from self._rows(path, relative)
        elif "images" in self._kinds:
            yield Item(str(path), str(relative), (ImageFile(path),))
        else:
            shapes = " and ".join("x".join(map(str, one.shape)) for one in self._stored)
            raise UserError(
                f"{path}: a sample of the run is {shapes}",
                expected=f"a file of arrays ({', '.join(ARRAY_FILES)}), or a CSV file of numbers and names of files",
            )

    def _rows(self, path: Path, relative: Path) -> Iterator[Item]:
        try:
            file = self._files.open(path).file
            names, count = inputs_in(file, self._stored, self._layout.input_names, self._layout.others)
        except (OSError, ValueError, UserError) as error:
            reason = error.what.removeprefix(f"{path} ") if isinstance(error, UserError) else str(error)
            yield Item(str(path), str(relative), (Unreadable(reason),) * len(self._stored))
            return
        for row in (None,) if count is None else range(count):
            parts = tuple(ArrayRow(self._files, path, name, row) for name in names)
            if row is None:
                yield Item(str(path), str(relative), parts)
            else:
                yield Item(f"{path}[{row}]", str(relative.with_suffix("") / str(row)), parts)


def _paths(given: str) -> list[Path]:
    path = Path(given).expanduser()
    if path.exists():
        return [path]
    if glob.has_magic(given):
        matching = sorted(glob.glob(os.path.expanduser(given), recursive=True))
        if matching:
            return [Path(one) for one in matching]
        raise UserError(f"no file matches {given}", fix=f"a pattern as seen from {Path.cwd()}")
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, beside)
    raise UserError(
        f"{given} is not there",
        expected=f"a file, folder or pattern as seen from {Path.cwd()}",
        nearest=str(path.parent / close) if close else None,
    )
