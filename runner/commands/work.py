"""``runner work SWEEP``: what each task of an array does that works for a study."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runner.commands.arguments import add_trust, trust_from
from runner.runs.sweep_directory import SweepDirectory


def main(args: Sequence[str]) -> int:
    """Execute trials of a study until there are no more; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner work",
        description="Ask a study for its next trial and train it, until the study is complete. The jobs of a sweep "
        "with sweeper=optuna launcher=slurm do this; nobody has to type it.",
    )
    parser.add_argument("dir", type=Path, metavar="SWEEP", help="the directory of the sweep")
    add_trust(parser)
    options = parser.parse_args(args)
    made = SweepDirectory.open(options.dir)

    from runner.launch.slurm.worker import work

    return work(made, trust_from(options))
