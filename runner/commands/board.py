"""``runner board DIR...``: TensorBoard on runs and sweeps."""

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.commands.arguments import add_dirs
from runner.commands.ending import ended_by_signals
from runner.errors import UserError

_LOOK_EVERY_S = 5.0
"""How often it is looked for runs that have been started since."""
_ENDS_WITHIN_S = 5.0
_ADDRESS = re.compile(r"TensorBoard \S+ at (https?://\S+)")


def main(args: Sequence[str]) -> int:
    """Run TensorBoard until it is stopped; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="runner board",
        description="Start TensorBoard on runs and sweeps. Its HPARAMS tab shows the settings that differ, and the "
        "metrics of the runs that are complete. Ctrl-C ends it.",
    )
    add_dirs(parser)
    parser.add_argument("--port", type=int, metavar="N", help="default: 6006, or the next that is free; 0: any")
    parser.add_argument("--host", metavar="NAME", help="who can reach it: default: localhost, this machine alone")
    options = parser.parse_args(args)

    from runner.report.board import above, link, write_columns
    from runner.report.comparison import compare
    from runner.report.runs import given, runs_of

    entries = given(options.dirs, "runner board")
    with tempfile.TemporaryDirectory(prefix="runner-board-") as name, ended_by_signals():
        folder, top = Path(name), above(options.dirs)
        link(runs_of(entries), top, folder)
        write_columns(compare(entries), folder)
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", name]
        command += [] if options.port is None else ["--port", str(options.port)]
        command += [] if options.host is None else ["--host", options.host]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            return _follow(process, lambda: link(runs_of(given(options.dirs, "runner board")), top, folder))
        except KeyboardInterrupt:
            return 0  # the way to end it
        finally:
            _end(process)


def _follow(process: "subprocess.Popen[str]", look_again: Callable[[], None]) -> int:
    """Tell the address once it is known, and look for new runs until TensorBoard ends."""
    said: deque[str] = deque(maxlen=20)
    listener = threading.Thread(target=_listen, args=(process, said), daemon=True)
    listener.start()
    while True:
        try:
            code = process.wait(timeout=_LOOK_EVERY_S)
            break
        except subprocess.TimeoutExpired:
            with contextlib.suppress(UserError):  # the directories are gone: what TensorBoard has read, it still shows
                look_again()
    listener.join()
    print(f"TensorBoard has ended with exit code {code}:", *said, sep="\n", file=sys.stderr)
    return 1


def _listen(process: "subprocess.Popen[str]", said: deque[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line.rstrip())
        address = _ADDRESS.search(line)
        if address is not None:
            print(f"board    {address[1]}\nCtrl-C ends it", flush=True)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
