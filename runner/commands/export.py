"""``runner export DIR``: the model of a run for other tools."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runner.commands.arguments import add_trust, trust_from
from runner.deploy.formats import FORMATS
from runner.errors import UserError
from runner.runs.directory import RunDirectory


def main(args: Sequence[str]) -> int:
    """Export one run; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner export",
        description="Write the model of a run for other tools, and beside it a JSON file with what it takes to feed "
        "it: shapes, normalisation, class names.",
        epilog="weights: a state_dict for torch.load. safetensors: the same without pickle. torch_export: the whole "
        "program for torch.export.load, onnx: for ONNX runtimes; both take batches of any size.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="a run directory")
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="what to write")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: export/NAME in the run directory")
    parser.add_argument("--checkpoint", default="best", metavar="best|last|FILE", help="default: best")
    add_trust(parser)
    options = parser.parse_args(args)
    run = RunDirectory.open(options.dir)
    if options.output is not None and not options.output.resolve().parent.is_dir():
        raise UserError(f"-o {options.output}: the folder {options.output.parent} is not there", fix="make it first")
    if options.output is not None and options.output.is_dir():
        raise UserError(f"-o {options.output} is a folder", expected="the name of a file")

    from runner.deploy.export import export
    from runner.deploy.trained import open_trained

    trained = open_trained(run, options.checkpoint, trust_from(options), device="cpu")
    path = options.output
    if path is None:
        path = run.path / "export" / f"model{FORMATS[options.format]}"
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"{path.parent} cannot be made: {error.strerror}", fix="-o FILE elsewhere") from error
    described = export(trained, options.format, path)
    size, epoch = f"{path.stat().st_size / 1e6:,.1f} MB", trained.epoch
    print(f"model    {path} ({options.format}, {size}; {options.checkpoint} checkpoint, epoch {epoch})")
    print(f"about    {described}")
    return 0
