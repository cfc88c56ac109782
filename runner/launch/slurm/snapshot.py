"""A copy of the user's code as it is when a job is submitted: what git tracks, or would track."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain, count
from pathlib import Path

from runner.errors import UserError, listing

_MOST_MB = 200
"""Code is smaller. What is larger is data or results that lie beside it, and would be copied at every submission."""
_NO_CODE = ("sweep.yaml", "status.json", "pyvenv.cfg")
"""Files that tell the folder of a sweep, of a run, or of a virtual environment."""


def planned_copies(folders: Sequence[Path], into: Path) -> dict[Path, Path]:
    """Where each of some folders is to be copied; one inside another is copied with it.

    Args:
        folders: Of the code.
        into: The new folder for the first; the others, and all if it is there already, get a number behind the name.
    """
    roots = list(dict.fromkeys(folder.resolve() for folder in folders))
    outermost = [one for one in roots if not any(one != other and one.is_relative_to(other) for other in roots)]
    names = chain([into], (into.with_name(f"{into.name}-{number}") for number in count(2)))
    return dict(zip(outermost, (folder for folder in names if not folder.exists()), strict=False))


def copy_code(copies: Mapping[Path, Path]) -> None:
    """Copy folders of code.

    Left out are files that git ignores (in a folder that is no checkout, ``.gitignore`` counts all the same), untracked
    ones that are hidden, runs, sweeps and virtual environments. A link stays a link, to where it leads now.

    Args:
        copies: Where to, by folder.

    Raises:
        UserError: If that is too much for code, or cannot be copied.
    """
    for root, copy in copies.items():
        try:
            files = _files(root)
            _require_small(root, files)
            copy.mkdir(parents=True)
            for file in files:
                _copy(root / file, root, copy / file)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UserError(
                f"the code in {root} cannot be copied: {error}", fix="launcher.snapshot_code=false"
            ) from error


def _files(root: Path) -> list[Path]:
    """The files that belong to the code in a folder, relative to it."""
    found = []
    for name in _listed(root):
        path = root / name
        if path.is_dir() and not path.is_symlink():  # a checkout of its own, such as a submodule
            found += [Path(name) / file for file in _files(path)]
        elif path.is_symlink() or path.is_file():  # others were deleted, and git still tracks them
            found.append(Path(name))

    @cache
    def is_code(folder: Path) -> bool:
        if folder == root:
            return True
        return (
            is_code(folder.parent)
            and folder.name != "__pycache__"
            and not any((folder / f).is_file() for f in _NO_CODE)
        )

    return [file for file in found if is_code((root / file).parent)]


def _listed(root: Path) -> list[str]:
    """What git tracks below a folder, and what it neither tracks nor ignores, without what is hidden of that."""
    others = ("ls-files", "-z", "--others", "--exclude-standard")
    if subprocess.run(["git", "-C", root, "rev-parse", "--is-inside-work-tree"], capture_output=True).returncode == 0:
        tracked, untracked = _git(root, "ls-files", "-z", "--cached"), _git(root, *others)
    else:
        with tempfile.TemporaryDirectory() as empty:
            _git(root, "init", "--quiet", "--bare", empty)
            tracked, untracked = [], _git(root, f"--git-dir={empty}", "--work-tree=.", *others)
    visible = [name for name in untracked if not any(part.startswith(".") for part in Path(name).parts)]
    return sorted({*tracked, *visible})


def _git(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, check=True)
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _require_small(root: Path, files: Sequence[Path]) -> None:
    sizes = {file: (root / file).lstat().st_size for file in files}
    total = sum(sizes.values()) / 1e6
    if total > _MOST_MB:
        largest = sorted(files, key=lambda file: -sizes[file])
        raise UserError(
            f"launcher.snapshot_code=true would copy {total:,.0f} MB from {root}: that is more than code",
            where=listing(largest, limit=3),
            expected=f"at most {_MOST_MB} MB",
            fix="name what is no code in .gitignore",
        )


def _copy(file: Path, root: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_symlink():
        shutil.copy2(file, to)
    else:
        target = file.resolve()
        to.symlink_to(os.path.relpath(target, file.parent.resolve()) if target.is_relative_to(root) else target)
