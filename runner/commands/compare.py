"""``runner compare DIR...``: what differs between runs, and what came of it."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from runner.errors import UserError

EPILOG = """settings that are the same everywhere are left out, and so are those that a chosen option brings. Runs that
differ in nothing but the seed are averaged: mean, standard deviation and number of the complete ones. Of two runs, the
difference of their settings and of their code is told too.
  runner compare outputs/first outputs/second
  runner compare outputs/2026-11-20/13-20-33-sweep --metric 'test/*'
  runner compare outputs/folds --over data.fold"""


def main(args: Sequence[str]) -> int:
    """Print the comparison; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner compare",
        description="Runs side by side: a row a run, a column for each setting that differs, then the metrics.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dirs", type=Path, nargs="+", metavar="DIR", help="runs, sweeps, or folders with such in them")
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
    parser.add_argument("--where", metavar="CONDITION", help="only the runs that it holds for, as in runner ls")
    parser.add_argument("--diff", action="store_true", help="of two runs, the whole difference of their code")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    form.add_argument("--csv", action="store_true", help="print comma-separated values, a line a run")
    options = parser.parse_args(args)

    from runner.report import comparing
    from runner.report.comparison import compare
    from runner.report.layout import terminal_width
    from runner.report.pair import difference
    from runner.report.runs import given
    from runner.report.where import only

    found = only(given(options.dirs, "runner compare"), options.where)
    over = tuple(options.over or ("seed",))
    comparison = compare(found, options.metric, over)
    two = difference(comparison, Path.cwd()) if len(comparison.rows) == 2 and not options.csv else None
    if options.diff and two is None:
        raise UserError(f"--diff is about two runs, these are {len(comparison.rows)}")
    if options.json:
        print(json.dumps(comparing.record(comparison, two), indent=2))
    elif options.csv:
        print(comparing.as_csv(comparison), end="")
    else:
        width = terminal_width()
        print(comparing.text(comparison, width))
        if two is not None:
            print(f"\n{comparing.pair(two, options.diff, width)}")
    return 0
