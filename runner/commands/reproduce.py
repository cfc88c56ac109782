"""``runner reproduce DIR``: run the frozen configuration again beside the old run, and compare to the last bit."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.commands.arguments import add_trust, trust_from
from runner.launch.together import as_one
from runner.runs.directory import RunDirectory
from runner.runs.repetition import again

if TYPE_CHECKING:
    from runner.parallel.meeting import Meeting


def main(args: Sequence[str]) -> int:
    """Reproduce one run; 0 if it is identical, 1 if not."""
    return as_one(lambda meeting: _reproduce(args, meeting))


def _reproduce(args: Sequence[str], meeting: "Meeting | None") -> int:
    parser = argparse.ArgumentParser(
        prog="runner reproduce",
        description="Run a run's frozen configuration again, in a new directory beside it (of a run in a sweep, beside "
        "the sweep), and compare the two: 'identical', or the first difference with what differs in code, packages "
        "and hardware.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="a run directory")
    add_trust(parser)
    options = parser.parse_args(args)
    old = RunDirectory.open(options.dir)

    from runner.config.frozen import frozen
    from runner.launch.single import execute_here
    from runner.report.reproduction import compare, extent, require_comparable
    from runner.training.signals import StopRequest, stop_signals

    require_comparable(old)
    trust = trust_from(options)
    trust.check(old.config(), old.path)
    frozen(old)
    stop = StopRequest()
    with stop.listening(*stop_signals()):
        new = again(old, ["runner", *sys.argv[1:]])
        code = execute_here(new, trust, stop, meeting=meeting)
    if code != 0:
        return code
    difference = compare(old, new)
    print()
    if difference is None:
        print(f"identical: {new.path} equals {old.path} to the last bit, {extent(old)}")
        return 0
    print(difference)
    return 1
