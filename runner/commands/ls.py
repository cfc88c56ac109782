"""``runner ls``: the runs and sweeps below a folder, newest first."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from runner.errors import UserError

DEFAULT = Path("outputs")
"""Where runs are unless output_root says otherwise; it need not be there yet."""

EPILOG = """conditions are about settings by their dotted names, groups, metrics, and what the status says (state,
epoch, epochs, step, best, best_epoch, monitor, seconds, created, started, ended, error, host, run):
  runner ls --where 'optimizer.lr < 0.01 and state == failed'
  runner ls --where 'model in [mlp, unet] and not (epoch == epochs or val/accuracy > 0.9)'
  runner ls --where 'run ~ baseline and created >= 2026-11-20' --sort val/loss -n 5"""


def main(args: Sequence[str]) -> int:
    """Print the list; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner ls",
        description="The runs and sweeps below a folder, newest first; of a sweep's directory, its runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dir", type=Path, nargs="?", metavar="DIR", help=f"default: {DEFAULT}")
    parser.add_argument("--where", metavar="CONDITION", help="only the runs that it holds for, those of sweeps too")
    parser.add_argument(
        "--sort", metavar="KEY", help="by a setting, a metric or what the status says; default: created"
    )
    parser.add_argument("-r", "--reverse", action="store_true", help="turn the order round")
    parser.add_argument("-n", type=int, metavar="N", help="the first N only")
    parser.add_argument("--runs", action="store_true", help="the runs of sweeps one by one")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    form.add_argument("--csv", action="store_true", help="print comma-separated values instead of a table")
    options = parser.parse_args(args)
    if options.dir is not None and not options.dir.is_dir():
        problem = "is a file" if options.dir.exists() else "there is no such folder"
        raise UserError(f"runner ls {options.dir}: {problem}", expected=f"a folder with runs in it, such as {DEFAULT}")
    if options.n is not None and options.n < 1:
        raise UserError(f"-n {options.n}", expected="1 or more")

    from runner.report import ls
    from runner.report.facts import FIELDS, Facts
    from runner.report.layout import terminal_width
    from runner.report.queued import jobs_of
    from runner.report.runs import Entry, entries, find
    from runner.report.where import parse

    folder = options.dir or DEFAULT
    condition = None if options.where is None else parse(options.where)
    one_by_one = options.runs or condition is not None or (options.sort is not None and ls.is_of_runs(options.sort))
    runs = find(folder) if one_by_one else []
    found: list[Entry] = list(runs) if one_by_one else entries(folder)
    is_empty = not found
    if condition is not None:
        found = [facts.run for facts in condition.chosen([Facts(run) for run in runs])]
    if options.sort is not None:
        found = ls.ordered(found, options.sort, options.reverse)
    elif options.reverse:
        found = found[::-1]
    found = found[: options.n]
    named = [*([] if condition is None else condition.names), *([options.sort] if options.sort else [])]
    more = [name for name in dict.fromkeys(named) if name not in FIELDS]
    jobs = {} if options.csv else jobs_of(found)
    if options.json:
        print(json.dumps([ls.record(entry, jobs.get(entry.path, ())) for entry in found], indent=2))
    elif options.csv:
        print(ls.as_csv(found, [name for name in more if "/" not in name]), end="")
    elif found:
        print(ls.table(found, more, terminal_width(), jobs))
    else:
        print(f"there are no runs below {folder}" + ("" if is_empty else " for which this holds"))
    return 0
