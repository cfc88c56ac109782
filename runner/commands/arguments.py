"""What commands that take a run directory have in common."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runner.config.paths import Places
from runner.trust import Trust


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Let a command take ``--trust``."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE|DIR",
        help="let the run use code of this installed package, or code in this folder, besides torch's own and "
        "the code in the current directory; may be given several times",
    )


def trust_from(values: Sequence[str]) -> Trust:
    """What may be imported: the code of the current directory, and what ``--trust`` names."""
    folders = [Path(value).resolve() for value in values if Path(value).is_dir()]
    packages = tuple(value for value in values if not Path(value).is_dir())
    here = Places.find(None, Path.cwd()).import_paths
    return Trust((*here, *folders), packages)
