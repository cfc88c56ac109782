"""``runner eval DIR``: metrics of a checkpoint on a split."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.commands.arguments import add_trust, trust_from
from runner.runs.directory import RunDirectory
from runner.runs.files import plain_record


def main(args: Sequence[str]) -> int:
    """Evaluate one run; give the exit code."""
    parser = argparse.ArgumentParser(prog="runner eval", description="Loss and metrics of a checkpoint on a split.")
    parser.add_argument("dir", type=Path, metavar="DIR", help="a run directory")
    parser.add_argument("--split", choices=["train", "val", "test"], default="test", help="default: test")
    parser.add_argument("--checkpoint", default="best", metavar="best|last|FILE", help="default: best")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_trust(parser)
    options = parser.parse_args(args)
    run = RunDirectory.open(options.dir)

    from runner.tracking.console import Console
    from runner.training.evaluation import evaluate_run

    console = Console(stream=sys.stderr if options.json else sys.stdout)
    figures, samples, epoch = evaluate_run(run, options.split, options.checkpoint, trust_from(options), console)
    if options.json:
        record = {"run": str(run.path), "split": options.split, "checkpoint": options.checkpoint, "epoch": epoch}
        print(json.dumps(plain_record({**record, "samples": samples, "metrics": figures}), indent=2))
    else:
        title = f"{options.checkpoint} checkpoint (epoch {epoch}) on {samples:,} {options.split} samples"
        console.summary(title, {options.split: figures}, [("run", str(run.path))])
    return 0
