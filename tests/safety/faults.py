"""What tests of safety share: processes that go through something, and comparing what a run came to, to the last bit.

The processes are forked by a server that has imported torch once and computed nothing, so one takes a fraction of a
second; torch refuses to compute gradients in a process that was forked after its parent did.
"""

import atexit
import contextlib
import csv
import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from comparing import before  # noqa: F401  # what happens within a process

from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.training.progress import Progress
from runner.training.recorder import Recorder

TINY = (
    "run_dir=run",
    "epochs=3",
    "data.batch_size=315",
    "tracking.log_every=2",
    "tracking.graph=false",
    "tracking.images=0",
    "device=cpu",
    "name=same",
)
MLP = ("model.hidden=[8]", "model.dropout=0.2")
"""Four steps an epoch on the digits, twelve in all, in a tenth of a second."""

_HUNG_AFTER_S = 120

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "pytest",
        "torch",
        "runner.commands.resume",
        "runner.commands.train",
        "runner.config.amend",
        "runner.config.compose",
        "runner.data.sources.digits",
        "runner.launch.single",
        "runner.tracking.summaries",
        "runner.training.execute",
    ]
)


@dataclass(frozen=True)
class Child:
    """A process that was started for a test, and the file that holds what it prints."""

    process: BaseProcess
    out: Path

    @property
    def pid(self) -> int:
        """Its number, which is that of its process group too."""
        assert self.process.pid is not None
        return self.process.pid

    def wait(self) -> int:
        """Its exit code; that of a signal is negative."""
        self.process.join(_HUNG_AFTER_S)
        assert self.process.exitcode is not None, f"it hangs\n{self.text()}"
        return self.process.exitcode

    def text(self) -> str:
        """What it has printed."""
        return self.out.read_text()


@contextlib.contextmanager
def started(folder: Path, act: Callable[..., int | None], *args: Any) -> Iterator[Child]:
    """Have ``act(*args)`` done by a process whose current folder is ``folder``; its result is the exit code."""
    number = sum(1 for _ in folder.parent.glob(f"{folder.name}.*.out"))
    child = Child(
        _context.Process(target=_live, args=(folder, out := folder.parent / f"{folder.name}.{number}.out", act, args)),
        out,
    )
    child.out.touch()
    child.process.start()
    try:
        yield child
    finally:
        child.process.kill()
        child.process.join()


def done(folder: Path, act: Callable[..., int | None], *args: Any) -> tuple[int, str]:
    """The exit code of a process that does ``act(*args)`` in a folder, and what it printed."""
    with started(folder, act, *args) as child:
        return child.wait(), child.text()


def command(*args: str) -> int:
    """``runner ARGS``, as a process does it that has imported torch before."""
    from runner.cli import main

    return main(args)


def train(*overrides: str) -> int:
    """``runner train`` of the tiny run in the folder ``run``, with its network unless another is named."""
    names_model = any(override.startswith("model=") for override in overrides)
    return command("train", *TINY, *(() if names_model else MLP), *overrides)


def resume(*overrides: str) -> int:
    """``runner resume run``."""
    return command("resume", "run", *overrides)


def forked(act: Callable[..., Any], *args: Any) -> int:
    """The exit code of a copy of this process that does ``act(*args)``; for many short lives within one process."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act(*args)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _live(folder: Path, out: Path, act: Callable[..., int | None], args: tuple[Any, ...]) -> None:
    multiprocessing.set_start_method("fork", force=True)  # for loader workers; this process has taken the server's
    os.setpgid(0, 0)
    os.chdir(folder)
    descriptor = os.open(out, os.O_WRONLY | os.O_APPEND)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(descriptor, number)
        setattr(sys, name, open(number, "w", buffering=1, closefd=False))  # noqa: SIM115
    torch.set_num_threads(1)
    code = act(*args) or 0
    atexit._run_exitfuncs()
    os._exit(code)


def stop_server() -> None:
    """End the process that forks the others; the next one starts it again."""
    from multiprocessing import forkserver

    forkserver._forkserver._stop()


# --- what happens within a process ------------------------------------------------------------------------------------


def after_step(step: int, act: Callable[[], None]) -> None:
    """Have ``act`` called once when this process has done that step."""
    stepped = Recorder.stepped

    def stepped_then_act(self: Recorder, progress: Progress) -> None:
        stepped(self, progress)
        if progress.step == step:
            act()

    Recorder.stepped = stepped_then_act  # type: ignore[method-assign]


def send(*numbers: int) -> Callable[[], None]:
    """Something that sends signals to this process, one after the other."""

    def act() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return act


def kill() -> None:
    """End this process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_writer() -> None:
    """Return when the checkpoint that is being written in the background is on the disk."""
    for thread in threading.enumerate():
        if thread.name == "checkpoint":
            thread.join()


def kill_once_saved() -> None:
    """End this process at a moment when nothing is being written."""
    wait_for_writer()
    kill()


# --- what is left -----------------------------------------------------------------------------------------------------


def result(folder: Path) -> dict[str, Any]:
    """Everything that the run in a folder came to, but for times and places."""
    run = RunDirectory(folder)
    status = Status.read(run.status_file)
    with run.metrics_file.open(newline="") as file:
        rows = [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    return {
        "checkpoints": {path.name: _flat(checkpoint(path)) for path in sorted(run.checkpoints.iterdir())},
        "rows": rows,
        "events": events(run.tensorboard),
        "status": (status.state, status.epoch, status.step, status.best, status.best_epoch, status.metrics),
        "files": sorted(path.name for path in folder.iterdir()),
    }


def checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, but for the sizes of event files: their number is that of the executions."""
    state = read_checkpoint(path)
    del state["tracker"]["events"]
    return state


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Every value in a state by the keys that lead to it; of a tensor the digest of its bits."""
    if isinstance(value, torch.Tensor):
        bits = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return {path: f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(bits).hexdigest()}"}
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: text for key, item in items for name, text in _flat(item, f"{path}.{key}").items()}
    return {path: repr(value)}


def events(folder: Path) -> list[tuple[str, int, bytes]]:
    """Every (tag, step, value) that TensorBoard reads."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return sorted(
        (value.tag, event.step, value.SerializeToString(deterministic=True))
        for file in sorted(folder.iterdir())
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    )


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def status_of(folder: Path) -> Status:
    """The status of the run in a folder."""
    return Status.read(folder / "status.json")


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    found = set()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child, *descendants(child)}
    return found


def are_gone(pids: set[int], within_s: float = 5.0) -> bool:
    """Whether processes end within some time; one that nobody has asked about its end counts as ended."""
    until = time.monotonic() + within_s
    while any(_is_alive(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
