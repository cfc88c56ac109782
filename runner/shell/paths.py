"""Paths that a word at the cursor may become."""

import os
from collections.abc import Iterator
from itertools import islice

RUNS_SHOWN = 50
"""Runs that are offered at once, the newest of those that match: more would bury the folders that lead to others."""


def runs(word: str, root: str = "outputs") -> list[str]:
    """Run directories below ``root`` that begin with ``word``, the newest names first.

    A sweep stands for its runs, with a slash at its end, until what is typed leads into it.
    """
    return list(islice(_runs(root, word), RUNS_SHOWN))


def _runs(folder: str, word: str) -> Iterator[str]:
    for name in sorted(_names(folder), reverse=True):
        path = os.path.join(folder, name)
        is_found, is_on_the_way = path.startswith(word), word.startswith(f"{path}/")
        # Folders are looked into only where they can hold what was typed: there may be thousands of others.
        if name.startswith(".") or not (is_found or is_on_the_way) or not os.path.isdir(path):
            continue
        if is_found and os.path.isfile(os.path.join(path, "sweep.yaml")):
            yield f"{path}/"
        elif not is_run(path):
            if not os.path.islink(path):  # which may lead back to here
                yield from _runs(path, word)
        elif is_found:
            yield path


def is_run(path: str) -> bool:
    """Whether a folder is a run directory: every run has had its status since it was made."""
    return os.path.isfile(os.path.join(path, "status.json"))


def paths(word: str, *, only_folders: bool = False) -> list[str]:
    """Files and folders that begin with ``word``; folders end with a slash. Hidden ones if the dot was typed."""
    head, tail = os.path.split(word)
    typed_head = word[: len(word) - len(tail)]
    folder = os.path.expanduser(head) or "."
    found = []
    for name in sorted(_names(folder)):
        if name.startswith(tail) and (tail.startswith(".") or not name.startswith(".")):
            if os.path.isdir(os.path.join(folder, name)):
                found.append(f"{typed_head}{name}/")
            elif not only_folders:
                found.append(typed_head + name)
    return found


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # not there, or not for us to read: nothing to offer
        return []
