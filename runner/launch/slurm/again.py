"""Submitting a directory once more: what may be taken from the directory for it, and what only from the user.

A directory can come from anybody. Lines of shell, options of sbatch and code that stand in it are not run because they
stand there: the user types them again, has them in a configuration of their own, or says that they are trusted.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.config.compose import Composer
from runner.config.launching import options, slurm_launcher
from runner.config.paths import Places
from runner.config.relaunch import relaunching
from runner.config.sections.launching import SlurmLauncher
from runner.config.shorthand import written_out
from runner.errors import UserError
from runner.launch.slurm.jobs import Jobs
from runner.runs.directory import from_here
from runner.trust import Trust

_LINES = ("setup", "sbatch")


def settings_again(jobs: Jobs, overrides: Sequence[str], trust: Trust) -> tuple[SlurmLauncher, Trust]:
    """The settings of a job for a directory that had one before, and whose code it may run.

    Args:
        jobs: What the directory says of its jobs.
        overrides: Those to change. A launcher that is named counts as it is, and nothing of the record.
        trust: What the user trusts; if that is the directory itself, its lines and its copy of the code count.

    Raises:
        UserError: If a change is refused, or the record has what may not be taken from it.
    """
    directory = jobs.folder.resolve()
    typed = [text.partition("=")[0] for text in written_out(overrides)]
    if "hydra/launcher" in typed:
        return slurm_launcher(Composer(Places.find(None, Path.cwd())), written_out(overrides)), trust
    settings = relaunching(jobs.settings, overrides)
    assert isinstance(settings, SlurmLauncher), "recorded when it was submitted to Slurm"
    if directory in trust.folders and directory != Path.cwd().resolve():
        if not settings.snapshot_code or trust.code:
            return settings, trust
        copies = tuple(map(Path, jobs.code))
        return settings, replace(trust, folders=copies, code=copies)
    brought = {
        f"launcher.{key}": "; ".join(getattr(settings, key))
        for key in _LINES
        if getattr(settings, key) and f"hydra.launcher.{key}" not in typed
    }
    if brought and _stands_in_a_launcher_of_the_user(settings):
        brought = {}
    if settings.snapshot_code and not trust.code:
        brought["code"] = ", ".join(jobs.code)
    if brought:
        raise UserError(
            f"{from_here(directory)} brings along what is not run because it stands there",
            where=", ".join(f"{name}: {value}" for name, value in brought.items()),
            expected="what stands in a launcher of yours in conf/hydra/launcher, or is typed again",
            fix=f"--trust {from_here(directory)}, if these are your own",
        )
    return settings, trust


def _stands_in_a_launcher_of_the_user(settings: SlurmLauncher) -> bool:
    """Whether the user's own configuration has a launcher with the same lines."""
    places = Places.find(None, Path.cwd())
    composer = Composer(places)
    for option in options(composer, "launcher"):
        file = places.file_of("hydra/launcher", option)
        if file is not None and not places.is_shipped(file):
            with contextlib.suppress(UserError):  # one that is not for Slurm, or has a mistake
                own = slurm_launcher(composer, [f"hydra/launcher={option}"])
                if all(getattr(own, key) == getattr(settings, key) for key in _LINES):
                    return True
    return False
