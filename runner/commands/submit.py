"""``runner submit``: a run as a job of a Slurm cluster."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.commands.arguments import add_trust, trust_from
from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.sweep_directory import SweepDirectory
from runner.typed import typed

if TYPE_CHECKING:
    from runner.launch.slurm.single import NewRun, OldRun

_WITH_VALUE = ("--config-dir", "-cd", "--trust", "--code")


def main(args: Sequence[str]) -> int:
    """Submit one run; give the exit code."""
    if any(word in ("-h", "--help") for word in args):
        from runner.config.help import submit_help

        print(submit_help())
        return 0
    return _again(args) if _names_directory(args) else _new(args)


def _names_directory(args: Sequence[str]) -> bool:
    """Whether a directory is named where overrides stand otherwise."""
    before = ["", *args]
    words = [word for flag, word in zip(before, args, strict=False) if flag not in _WITH_VALUE]
    return any(Path(word).is_dir() or "/" in word for word in words if "=" not in word and not word.startswith("-"))


def _new(args: Sequence[str]) -> int:
    from runner.config.compose import Composer
    from runner.config.flags import parse
    from runner.config.paths import Places
    from runner.launch.slurm.single import NewRun

    flags = parse(args, "submit")
    return _submit(NewRun(Composer(Places.find(flags.config_dir, Path.cwd())), flags.overrides), flags.dry_run)


def _again(args: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="runner submit")
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--dry-run", action="store_true")
    add_trust(parser)
    options = parser.parse_intermixed_args(args)
    if SweepDirectory.is_one(options.dir):
        raise UserError(
            f"{options.dir} is a sweep, and runner submit sends one run", fix=typed("runner", "resume", options.dir)
        )
    run = RunDirectory.open(options.dir)

    from runner.launch.slurm.single import OldRun

    return _submit(OldRun(run, options.overrides, trust_from(options)), options.dry_run)


def _submit(work: "NewRun | OldRun", dry_run: bool) -> int:
    from runner.launch.slurm.queue import how_it_is
    from runner.launch.slurm.single import remarks

    if dry_run:
        print(work.script(), end="")
        return 0
    run, job = work.submit()
    print(f"job      {job.id}, {how_it_is(job.id)}")
    print(f"run      {run.path}")
    for remark in remarks(run.config(), work.settings):
        print(f"note     {remark}")
    if work.settings.wait:
        from runner.launch.slurm.wait import wait_for_run

        return wait_for_run(run)
    print(f"follow   {typed('runner', 'logs', run.path, '-f')}")
    return 0
