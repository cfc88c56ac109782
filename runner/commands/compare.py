"""``runner compare DIR...``: what differs between runs, and what came of it."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from runner.commands.arguments import add_comparison, comparison_from
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
    add_comparison(parser)
    parser.add_argument("--diff", action="store_true", help="of two runs, the whole difference of their code")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    form.add_argument("--csv", action="store_true", help="print comma-separated values, a line a run")
    options = parser.parse_args(args)

    comparison = comparison_from(options, "runner compare")[1]
    if options.diff and len(comparison.rows) != 2:
        raise UserError(f"--diff is about two runs, these are {len(comparison.rows)}")

    from runner.report import comparing
    from runner.report.layout import terminal_width
    from runner.report.pair import difference

    two = difference(comparison, Path.cwd()) if len(comparison.rows) == 2 and not options.csv else None
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
