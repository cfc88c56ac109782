"""``runner resume DIR``: execute a run directory again, from its newest checkpoint; or what is left of a sweep."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.commands.arguments import add_trust, trust_from
from runner.launch.together import as_one, require_one
from runner.runs.directory import RunDirectory
from runner.runs.rebuild import read_status
from runner.runs.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from runner.parallel.meeting import Meeting

ABOUT = "Go on with a run from its newest checkpoint, as if it had never stopped; or with what is left of a sweep."
CHANGES = """what may change on the way:
  epochs=N                       more epochs than planned, or fewer, but for those that are trained
  device.*                       another device, precision or number of threads; device=cuda is device.kind=cuda;
                                 more processes or fewer: device=ddp device.processes=4
  data.workers, checkpoint.*     and other settings of speed, saving and tracking
Whatever would change what was trained so far is refused.

of a sweep:
  n_jobs=N, retries=N            how its runs are run"""


def main(args: Sequence[str]) -> int:
    """Resume a run or a sweep; give the exit code."""
    return as_one(lambda meeting: _resume(args, meeting))


def _resume(args: Sequence[str], meeting: "Meeting | None") -> int:
    parser = argparse.ArgumentParser(
        prog="runner resume", description=ABOUT, epilog=CHANGES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="the directory of a run or of a sweep")
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="settings to change")
    add_trust(parser)
    options = parser.parse_intermixed_args(args)
    if SweepDirectory.is_one(options.dir):
        from runner.launch.resume import resume_sweep

        require_one(meeting, "a sweep")
        return resume_sweep(SweepDirectory(options.dir), options.overrides, trust_from(options))
    run = RunDirectory.open(options.dir)

    from runner.config.amend import amend, amended
    from runner.launch.single import execute_here, nothing_left, processes_for
    from runner.training.signals import StopRequest, stop_signals

    if options.overrides:
        amended(run, options.overrides)  # what is refused is refused at once, and nothing is touched
    elif (status := read_status(run)).state == "completed":
        print(nothing_left(run, status, "resume"))
        return 0

    def change() -> None:
        if options.overrides:
            amend(run, options.overrides, accept)

    def accept(changed: Mapping[str, Any]) -> None:
        processes_for(changed, meeting)

    stop = StopRequest()
    with stop.listening(*stop_signals()):
        return execute_here(run, trust_from(options), stop, change, meeting=meeting)
