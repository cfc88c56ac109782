"""``runner ls``: the runs below a folder, newest first."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from runner.errors import UserError
from runner.report.ls import find, table

DEFAULT = Path("outputs")
"""Where runs are unless output_root says otherwise; it need not be there yet."""


def main(args: Sequence[str]) -> int:
    """Print the list; give the exit code."""
    parser = argparse.ArgumentParser(prog="runner ls", description="The runs below a folder, newest first.")
    parser.add_argument("dir", type=Path, nargs="?", metavar="DIR", help=f"default: {DEFAULT}")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    options = parser.parse_args(args)
    if options.dir is not None and not options.dir.is_dir():
        problem = "is a file" if options.dir.exists() else "there is no such folder"
        raise UserError(f"runner ls {options.dir}: {problem}", expected=f"a folder with runs in it, such as {DEFAULT}")
    folder = options.dir or DEFAULT
    runs = find(folder)
    if options.json:
        print(json.dumps([run.record() for run in runs], indent=2))
    else:
        print(table(runs) if runs else f"there are no runs below {folder}")
    return 0
