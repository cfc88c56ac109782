"""``runner cancel DIR``: the jobs of a run or a sweep are taken out of the queue, or ended."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from runner.runs.directory import RunDirectory
from runner.runs.sweep_directory import SweepDirectory


def main(args: Sequence[str]) -> int:
    """Cancel what is in the queue; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner cancel",
        description="Cancel the Slurm job of a run, or all jobs of a sweep. A run that is being trained is told to "
        "save first. runner submit DIR, or runner resume SWEEP, goes on with what was cancelled.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="the directory of a run or of a sweep")
    options = parser.parse_args(args)
    folder = options.dir if SweepDirectory.is_one(options.dir) else RunDirectory.open(options.dir).path

    from runner.launch.slurm.cancel import cancel

    cancelled = cancel(folder)
    if not cancelled:
        print(f"no job of {folder} is in the queue")
    elif len(cancelled) == 1:
        print(f"cancelled job {cancelled[0].name}, which was {cancelled[0].told()}")
    else:
        counts = Counter("waiting" if state.is_waiting else "running" for state in cancelled)
        told = ", ".join(f"{count} {how}" for how, count in counts.items())
        print(f"cancelled {len(cancelled)} jobs of {folder}: {told}")
    return 0
