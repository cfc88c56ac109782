"""What commands that take a run directory have in common."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.paths import Places
from runner.trust import Trust

if TYPE_CHECKING:
    from runner.report.comparison import Comparison
    from runner.report.runs import Entry


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Let a command take ``--trust`` and ``--code``."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE|DIR",
        help="let the run use code of this installed package, or code in this folder, besides torch's own and "
        "the code in the current directory; may be given several times",
    )
    parser.add_argument(
        "--code",
        action="append",
        default=[],
        type=_folder,
        metavar="DIR",
        help="your code is in this folder instead of the current directory, such as RUN/code, where "
        "launcher.snapshot_code=true copies it; may be given several times",
    )


def trust_from(options: argparse.Namespace) -> Trust:
    """What may be imported: the code of the current directory or of ``--code``, and what ``--trust`` names."""
    folders = [Path(value).resolve() for value in options.trust if Path(value).is_dir()]
    packages = tuple(value for value in options.trust if not Path(value).is_dir())
    places = [Places.find(None, folder) for folder in options.code or [Path.cwd()]]
    own = [path for place in places for path in place.import_paths]
    return Trust((*own, *folders), packages, code=tuple(path.resolve() for path in own) if options.code else ())


def add_dirs(parser: argparse.ArgumentParser) -> None:
    """Let a command take runs and sweeps."""
    parser.add_argument("dirs", type=Path, nargs="+", metavar="DIR", help="runs, sweeps, or folders with such in them")


def add_comparison(parser: argparse.ArgumentParser) -> None:
    """Let a command take runs and sweeps, and say how they are compared."""
    add_dirs(parser)
    parser.add_argument("--where", metavar="CONDITION", help="only the runs that it holds for, as in runner ls")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="a metric, or a pattern of their names; may be given several times; default: loss and monitored metric",
    )
    parser.add_argument(
        "--over",
        action="append",
        metavar="KEY",
        help="average over this setting; may be given several times; default: seed",
    )


def comparison_from(options: argparse.Namespace, command: str) -> "tuple[list[Entry], Comparison]":
    """The runs and sweeps that are meant, and their comparison.

    Raises:
        UserError: If a directory is not there, or something else makes no sense.
    """
    from runner.report.comparison import compare
    from runner.report.runs import given
    from runner.report.where import only

    entries = only(given(options.dirs, command), options.where)
    return entries, compare(entries, options.metric, tuple(options.over or ("seed",)))


def _folder(value: str) -> Path:
    path = Path(value).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {value}")
    return path
