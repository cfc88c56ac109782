"""``runner predict DIR INPUT... -o OUT``: what the model of a run says of new data."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.commands.arguments import add_trust, trust_from
from runner.commands.ending import ended_by_signals
from runner.errors import UserError
from runner.runs.directory import RunDirectory

_NUM_SHOWN = 20


def main(args: Sequence[str]) -> int:
    """Predict; give the exit code: 1 if something was skipped."""
    parser = argparse.ArgumentParser(
        prog="runner predict",
        description="Predict new data with the model of a run: classes with their probabilities, or values, into a CSV "
        "file; masks into a folder of PNG files, each of the size of its picture.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="a run directory")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image files, files of arrays (.npy, .npz, .pt), folders, quoted patterns ('new/*.png'), CSV files",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="CSV file, or folder of masks")
    parser.add_argument("--checkpoint", default="best", metavar="best|last|FILE", help="default: best")
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="1 or more; default: the run's data.eval_batch_size"
    )
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda", "mps"], help="default: the run's, and its precision"
    )
    add_trust(parser)
    options = parser.parse_args(args)
    run = RunDirectory.open(options.dir)
    if options.batch_size is not None and options.batch_size < 1:
        raise UserError(f"--batch-size {options.batch_size}", expected="1 or more")

    from runner.deploy.predict import predict
    from runner.deploy.trained import open_trained
    from runner.tracking.console import Console

    console = Console()
    trained = open_trained(run, options.checkpoint, trust_from(options), options.device)
    console.note(f"model    {run.path}, {options.checkpoint} checkpoint, epoch {trained.epoch}")
    console.note(f"device   {trained.device.describe()}")
    with ended_by_signals():
        outcome = predict(trained, options.inputs, options.output, options.batch_size, console)
    if outcome.predicted:
        console.note(f"output   {options.output}: {outcome.predicted:,} predictions")
    if outcome.broken:
        lines = [f"  {name} {reason}" for name, reason in outcome.broken[:_NUM_SHOWN]]
        if len(outcome.broken) > _NUM_SHOWN:
            lines.append(f"  ... and {len(outcome.broken) - _NUM_SHOWN:,} more")
        print(f"{len(outcome.broken):,} could not be predicted and were skipped:", *lines, sep="\n", file=sys.stderr)
    return 1 if outcome.broken else 0
