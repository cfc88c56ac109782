"""``runner ls``: the runs below a folder, newest first."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from runner.report.ls import find, table


def main(args: Sequence[str]) -> int:
    """Print the list; give the exit code."""
    parser = argparse.ArgumentParser(prog="runner ls", description="The runs below a folder, newest first.")
    parser.add_argument("dir", type=Path, nargs="?", default=Path("outputs"), metavar="DIR", help="default: outputs")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    options = parser.parse_args(args)
    runs = find(options.dir)
    if options.json:
        print(json.dumps([run.record() for run in runs], indent=2))
    else:
        print(table(runs) if runs else f"there are no runs below {options.dir}")
    return 0
