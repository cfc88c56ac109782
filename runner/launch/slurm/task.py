"""What jobs do: which command of runner they start, where, and with whose code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config.paths import Places
from runner.config.sections.launching import SlurmLauncher
from runner.config.types import shipped_keys
from runner.launch.slurm.snapshot import copy_code, planned_copies
from runner.trust import Trust, targets


@dataclass(frozen=True, slots=True)
class Task:
    """The work of a job, or of each task of an array.

    Args:
        folder: The current folder of the job, from where relative paths of the configuration count, such as the data.
        command: The words after ``runner``; the run directory is added to them where the job has one.
        first: Folders in which Python looks for modules before anything that is installed.
        code: The copies of the code that it runs, if it runs copies.
    """

    folder: Path
    command: tuple[str, ...]
    first: tuple[Path, ...] = ()
    code: tuple[Path, ...] = ()


def task_in(directory: Path, settings: SlurmLauncher, command: Iterable[str], trust: Trust, copy: bool = True) -> Task:
    """The work of jobs that are submitted from the current folder.

    Args:
        directory: Of the run or the sweep; a copy of the code that is made now is called ``code`` there.
        settings: Of the launcher: whether to make one.
        command: The words after ``runner``.
        trust: Whose code the runs may name; the command is told it with ``--trust`` and ``--code``.
        copy: Whether to copy really, or only to see what a job would do.

    Raises:
        UserError: If the code cannot be copied.
    """
    copies: dict[Path, Path] = {}
    if settings.snapshot_code and not trust.code:
        copies = planned_copies(trust.folders, directory.resolve() / "code")
        trust = _in_copies(trust, copies)
        if copy:
            copy_code(copies)
    here = Path.cwd()
    found_anyway = {*trust.code, *Places.find(None, here).import_paths}
    words = [f"--code={folder}" for folder in trust.code]
    words += [f"--trust={folder}" for folder in trust.folders if folder not in found_anyway]
    words += [f"--trust={package}" for package in trust.packages]
    # Where the code is a checkout of this program, the program in it is to be run too.
    originals = {to: folder for folder, to in copies.items()}
    first = [folder for folder in trust.code if (originals.get(folder, folder) / "runner" / "cli.py").is_file()]
    return Task(here, (*command, *words), tuple(first), trust.code)


def typed_trust(places: Places, configs: Iterable[Mapping[str, Any]]) -> Trust:
    """What jobs may import whose configurations the user has just typed: the user's own code, and what they name.

    Args:
        places: Where the user's code lies.
        configs: Of the runs.
    """
    own = places.trust()
    own.make_importable()
    named = {target for config in configs for _, target in targets(config) if shipped_keys(target) is None}
    packages = {target.partition(".")[0] for target in named if not own.allows(target)}
    return places.trust(tuple(sorted(packages)))


def _in_copies(trust: Trust, copies: Mapping[Path, Path]) -> Trust:
    """The same trust, with the code where it was copied to."""
    code = [
        copy / folder.resolve().relative_to(root)
        for folder in trust.folders
        for root, copy in copies.items()
        if folder.resolve().is_relative_to(root)
    ]
    return Trust(tuple(code), trust.packages, code=tuple(dict.fromkeys(code)))
