"""Asking git."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def git(folder: Path, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> str | None:
    """What git prints in a folder, line ends as they are; None if it fails, takes 10 s, or there is none.

    Bytes that are no UTF-8, as in files of another encoding, stand for themselves in both directions (surrogates).

    Args:
        folder: Where it is started.
        arguments: Of the command line.
        stdin: What it reads.
        environment: All of its variables; None: those of this process.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=stdin.encode(errors="surrogateescape"),
            capture_output=True,
            check=True,
            timeout=10,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="surrogateescape")
