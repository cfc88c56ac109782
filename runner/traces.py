"""Where in a user's code an exception comes from."""

import os
import sys
import sysconfig
import traceback
from pathlib import Path

import runner


def place_of(error: BaseException) -> str | None:
    """The last line of the user's code on the way of an exception: ``/home/me/net.py, line 7, in forward``.

    Of installed packages where no other code was on its way; None where it was torch and this program alone.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_folders(runner, sys.modules.get("torch")))]
    installed = ("<frozen", *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))
    own = [frame for frame in theirs if not frame.filename.startswith(installed)] or theirs
    return f"{own[-1].filename}, line {own[-1].lineno}, in {own[-1].name}" if own else None


def _folders(*packages: object) -> tuple[str, ...]:
    files = [getattr(package, "__file__", None) for package in packages]
    return tuple(f"{Path(file).parent}{os.sep}" for file in files if file)
