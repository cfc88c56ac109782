"""``runner logs DIR``: what a run printed, or the runs of a sweep."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.report.logs import Follower, follow, outputs
from runner.runs.directory import RunDirectory
from runner.runs.sweep_directory import SweepDirectory


def main(args: Sequence[str]) -> int:
    """Print it; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner logs",
        description="What a run printed, wherever it runs or ran; of a sweep, each line behind the number of its run.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="the directory of a run or of a sweep")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until the run is over")
    parser.add_argument(
        "-n", "--lines", type=_count, metavar="N", help="begin with the last N lines; without it, with all"
    )
    options = parser.parse_args(args)
    folder = options.dir if SweepDirectory.is_one(options.dir) else RunDirectory.open(options.dir).path
    follower = Follower(sys.stdout, options.lines)
    if not any(file.is_file() for file in outputs(folder).values()):
        print(f"{folder} has printed nothing yet{_queue(folder)}", file=sys.stderr)
    if options.follow:
        from runner.launch.slurm.watch import Watch

        follow(folder, follower, Watch(folder).is_over)
    else:
        follower.show(outputs(folder))
    return 0


def _queue(folder: Path) -> str:
    """How the jobs of a run that may be waiting are."""
    from runner.launch.slurm.jobs import newest
    from runner.launch.slurm.queue import how_it_is

    return "".join(f": job {job.name} is {how_it_is(job.name)}" for job in newest([folder]).values())


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError("a whole number, 0 or more")
    return int(text)
