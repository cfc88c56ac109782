"""What you type: parse and dispatch, nothing else. Importing this imports neither torch nor Hydra."""

import importlib
import os
import sys
from collections.abc import Sequence

from runner import __version__
from runner.errors import UserError, nearest
from runner.streams import is_lost, leave, make_printable

COMMANDS = {
    "train": "compose a run, freeze it into its own directory, and train it (-m sweeps)",
    "submit": "have a run executed by a job of a Slurm cluster",
    "resume": "go on with a run from where it stands",
    "reproduce": "run a run again from its own record, and compare to the last bit",
    "eval": "metrics of a checkpoint on a split",
    "predict": "predictions for new files",
    "export": "weights or a whole program for other tools",
    "data": "sizes, classes, shapes and a picture of the samples, without training",
    "cache": "decoded images that are kept on the disk, and removing them",
    "summary": "layers, shapes, parameters and memory of a model, without training",
    "ls": "the runs and sweeps: state, progress, best value",
    "compare": "runs side by side: what differs between them, and what came of it",
    "report": "runs as one page of curves, tables and pictures, for a browser",
    "board": "TensorBoard on a run or a sweep",
    "logs": "what a run printed, wherever it runs (-f follows it)",
    "work": "train trials of a study, as its jobs do",
    "cancel": "take the jobs of a run or a sweep out of the queue of Slurm",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code.

    0 done; 1 the run failed; 2 the request was wrong (nothing was written); 75 stopped on request with a checkpoint;
    130 the same through Ctrl-C.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    make_printable()
    try:
        code = _dispatch(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as head, has left
        leave(sys.stdout)
        return 0
    except OSError as error:
        if not is_lost(sys.stdout):
            raise
        leave(sys.stdout)
        print(f"runner: the standard output cannot be written: {error}", file=sys.stderr)
        return 1
    return code


def _dispatch(args: list[str]) -> int:
    try:
        return _carry_out(args)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except FileNotFoundError:
        if _has_current_folder():
            raise
        print(UserError("the current folder has been removed", fix="cd to one that is there"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _carry_out(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if args else 2
    if args[0] in ("-V", "--version"):
        print(f"runner {__version__}")
        return 0
    if args[0] in ("-sc", "--shell-completion"):
        return _call("completion", args[1:])
    if args[0] not in COMMANDS:
        raise UserError(
            f"runner {args[0]}: there is no such command",
            expected=", ".join(COMMANDS),
            nearest=nearest(args[0], COMMANDS),
        )
    return _call(args[0], args[1:])


def usage() -> str:
    """The text of ``runner --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "runner: train PyTorch models from configuration. Every run has its own directory and resumes exactly.",
            "",
            "usage: runner COMMAND [...]        runner COMMAND --help tells more",
            "",
            *lines,
            "",
            "  runner train                                     digits with a small network, in seconds",
            "  runner train model=unet optimizer=adam           another model, which brings data that suits it",
            "  runner train -m optimizer.lr=0.1,0.01 seed=0,1   four runs, compared in one table",
            "",
            'Tab completion: eval "$(runner -sc install=bash)", likewise zsh; runner -sc install=fish | source',
        ]
    )


def _call(command: str, args: list[str]) -> int:
    return int(importlib.import_module(f"runner.commands.{command}").main(args))


def _has_current_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True
