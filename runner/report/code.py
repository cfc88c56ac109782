"""The difference between the code of two runs, as far as the current checkout knows it."""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.runs.git import git
from runner.runs.provenance import patched

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FILE = re.compile(r"^(?=diff --git )", re.MULTILINE)
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color")


@dataclass(frozen=True, slots=True)
class CodeDifference:
    """What differs."""

    commits: tuple[str, str]
    patched: tuple[bool, bool]
    """Whether each run had uncommitted changes."""
    stat: str | None
    """A line for each file, as ``git diff --stat`` gives it; None where the current folder's checkout has not both
    commits."""
    diff: str | None
    """All of it."""
    binary: tuple[str, ...]
    """Binary files whose uncommitted changes differ: what was in them is not recorded."""

    def describe(self) -> str:
        """The two in a line."""
        one, other = (
            f"{commit[:10]}{' with uncommitted changes' if is_patched else ''}"
            for commit, is_patched in zip(self.commits, self.patched, strict=True)
        )
        return f"{one} against {other}"


def code_difference(one: Mapping[str, Any], other: Mapping[str, Any], checkout: Path) -> CodeDifference | str:
    """Compare what git recorded of two runs, uncommitted changes included; where nothing differs, that in words.

    Nothing is written into the checkout: the changes are applied to an index and to objects in a folder of their own.

    Args:
        one: ``provenance.json`` of a run.
        other: That of another.
        checkout: Where git is asked for the commits.
    """
    known = [state for record in (one, other) if (state := _state(record)) is not None]
    if len(known) < 2:
        return f"not known: git recorded nothing of {'one of them' if known else 'either'}"
    if known[0] == known[1]:
        return f"the same: {known[0][0][:10]}{' with the same uncommitted changes' if known[0][1] else ''}"
    checkout = Path((git(checkout, "rev-parse", "--show-toplevel") or str(checkout)).strip())  # what patches start from
    with tempfile.TemporaryDirectory() as folder:
        trees = [_tree(state, checkout, Path(folder)) for state in known]
        environment = _environment(checkout, Path(folder))
        asked = (*_DIFF, *trees) if None not in trees else None
        diff = None if asked is None else git(checkout, *map(str, asked), environment=environment)
        stat = None if asked is None else git(checkout, *map(str, asked), "--stat=100", environment=environment)
    commits = known[0][0], known[1][0]
    binary = {part for _, patch in known for part in _FILE.split(patch) if _is_binary(part)}
    differing = (part for part in binary if not all(part in patch for _, patch in known))
    names = sorted({name for part in differing for name in patched(part)})
    return CodeDifference(commits, (bool(known[0][1]), bool(known[1][1])), stat, diff, tuple(names))


def _state(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Commit and patch of the last execution, or of when the run was made."""
    executions = record.get("executions") or [{}]
    found = executions[-1].get("git") or record.get("git")
    if found is None or found["patch"] is None:
        return None
    return str(found["commit"]), str(found["patch"])


def _tree(state: tuple[str, str], checkout: Path, folder: Path) -> str | None:
    """The tree of a commit with a patch; None where the checkout has no such commit, or the patch does not fit."""
    commit, patch = state
    if not _COMMIT.fullmatch(commit):  # a run directory can come from anybody: nothing that git would take for a flag
        return None
    environment = _environment(checkout, folder)
    if git(checkout, "read-tree", commit, environment=environment) is None:
        return None
    text = "".join(part for part in _FILE.split(patch) if not _is_binary(part))
    if text and git(checkout, "apply", "--cached", "-", stdin=text, environment=environment) is None:
        return None
    tree = git(checkout, "write-tree", environment=environment)
    return None if tree is None else tree.strip()


def _is_binary(part: str) -> bool:
    """Whether a file's part of a patch says no more than that it has changed, which git would not apply."""
    return "\nBinary files " in part


def _environment(checkout: Path, folder: Path) -> dict[str, str]:
    objects = (git(checkout, "rev-parse", "--git-path", "objects") or "").strip()
    return {
        **os.environ,
        "GIT_INDEX_FILE": str(folder / "index"),
        "GIT_OBJECT_DIRECTORY": str(folder),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((checkout / objects).resolve()),
    }
