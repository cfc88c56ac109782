"""What tests of several processes share: processes that execute a run together, as torchrun starts them.

They are forked by a server that has imported torch once and computed nothing, so one takes a fraction of a second;
torch refuses to compute gradients in a process that was forked after its parent did.
"""

import contextlib
import csv
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import TCPStore

from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.runs.status import Status

HUNG_AFTER_S = 120.0
_IMPORTED = [
    "torch",
    "torch._dynamo",  # for DistributedDataParallel
    "runner.training.sharded",
    "runner.commands.resume",
    "runner.commands.train",
    "runner.config.amend",
    "runner.data.sources.digits",
    "runner.data.sources.shapes",
    "runner.launch.single",
    "runner.launch.together",
    "runner.parallel.meeting",
    "runner.tracking.summaries",
    "runner.training.execute",
]
_context = multiprocessing.get_context("forkserver")


def start_server() -> None:
    """Start the process that forks the others, with all imported that they need."""
    forkserver._forkserver._stop()
    before = forkserver._forkserver._preload_modules
    _context.set_forkserver_preload([*before, *_IMPORTED])


def stop_server() -> None:
    """End it; the next process that is forked starts it again."""
    forkserver._forkserver._stop()


@dataclass
class Crew:
    """Processes that were started together, by rank, and the files that hold what they print."""

    folder: Path
    processes: list[BaseProcess] = field(default_factory=list)

    def pid(self, rank: int) -> int:
        """The number of a process."""
        pid = self.processes[rank].pid
        assert pid is not None
        return pid

    def codes(self, within_s: float = HUNG_AFTER_S) -> list[int | None]:
        """How they end, by rank: the number of a signal is negative; None for one that has not ended by then."""
        until = time.monotonic() + within_s
        for process in self.processes:
            process.join(max(0.0, until - time.monotonic()))
        return [process.exitcode for process in self.processes]

    def text(self, rank: int = 0) -> str:
        """What a process has printed until it wrote into the run directory."""
        return _out(self.folder, rank).read_text()


@contextlib.contextmanager
def crew(
    folder: Path, size: int, act: Callable[..., int | None], *args: Any, env: dict[str, str] | None = None
) -> Iterator[Crew]:
    """Have ``act(*args)`` done in a folder by so many processes, in the environment that torchrun gives them.

    Args:
        folder: Their current folder.
        size: How many.
        act: What they do; its result is the exit code.
        *args: For it.
        env: Of all of them, in place of that of torchrun; ``{rank}`` stands for the number of each.
    """
    store = None if env else TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun keeps it
    given = env or {
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "RANK": "{rank}",
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port if store else 0),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    together = Crew(folder)
    try:
        for rank in range(size):
            own = {name: value.format(rank=rank) for name, value in given.items()} if size > 1 or env else {}
            process = _context.Process(target=_live, args=(folder, rank, own, act, args))
            _out(folder, rank).write_text("")
            process.start()
            together.processes.append(process)
        yield together
    finally:
        for process in together.processes:
            process.kill()
            process.join()


def done(
    folder: Path, size: int, act: Callable[..., int | None], *args: Any, **options: Any
) -> tuple[list[int | None], str]:
    """The exit codes of such processes, and what the first one printed."""
    with crew(folder, size, act, *args, **options) as together:
        codes = together.codes()
        assert None not in codes, f"{codes}: they hang\n{together.text()}"
        return codes, together.text()


def command(*args: str) -> int:
    """``runner ARGS``."""
    from runner.cli import main

    return main(args)


def execute(run: RunDirectory, size: int, *overrides: str) -> str:
    """Execute a run directory with so many processes to its end; what was printed."""
    codes, text = done(Path.cwd(), size, command, "resume", str(run.path), *overrides)
    assert codes == [0] * size, f"{codes}\n{text}"
    return text


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _live(folder: Path, rank: int, env: dict[str, str], act: Callable[..., int | None], args: Sequence[Any]) -> None:
    multiprocessing.set_start_method("fork", force=True)  # for loader workers; this process has taken the server's
    os.environ |= env
    os.setpgid(0, 0)
    os.chdir(folder)
    descriptor = os.open(_out(folder, rank), os.O_WRONLY | os.O_APPEND)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(descriptor, number)
        setattr(sys, name, open(number, "w", buffering=1, closefd=False))  # noqa: SIM115
    torch.set_num_threads(1)
    os._exit(act(*args) or 0)


def _out(folder: Path, rank: int) -> Path:
    return folder.parent / f"{folder.name}.{rank}.out"


# --- what a run came to -----------------------------------------------------------------------------------------------


def rows(run: RunDirectory) -> list[dict[str, float]]:
    """The numbers of ``metrics.csv``, without the seconds."""
    with run.metrics_file.open(newline="") as file:
        return [
            {name: float(cell) for name, cell in row.items() if cell and name != "seconds"}
            for row in csv.DictReader(file)
        ]


def checkpoint(run: RunDirectory, name: str = "last") -> dict[str, Any]:
    """The state in a checkpoint, whole, without the sizes of event files."""
    state = read_checkpoint(run.checkpoints / f"{name}.pt")
    state["tracker"].pop("events")
    return state


def status_of(run: RunDirectory) -> Status:
    """Where a run stands."""
    return Status.read(run.status_file)


def assert_same(one: RunDirectory, other: RunDirectory, weights_within: float = 1e-6) -> None:
    """The same losses, metrics and weights, but for what sums in another order round differently."""
    assert len(rows(one)) == len(rows(other)) > 1
    for ours, theirs in zip(rows(one), rows(other), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-5, abs=1e-7)
    for part in ("model", "averaged"):
        torch.testing.assert_close(checkpoint(one)[part], checkpoint(other)[part], rtol=1e-4, atol=weights_within)


# --- what happens in one of the processes -----------------------------------------------------------------------------


def is_rank(rank: int) -> bool:
    """Whether this is that one of the processes."""
    return os.environ.get("RANK") == str(rank)


def after_step(step: int, act: Callable[[], object]) -> None:
    """Have ``act`` called once when this process has done that step."""
    from runner.training.follower import Follower
    from runner.training.recorder import Recorder

    for kind in (Recorder, Follower):
        stepped = kind.stepped

        def stepped_then_act(self: Any, progress: Any, stepped: Any = stepped) -> None:
            stepped(self, progress)
            if progress.step == step:
                act()

        kind.stepped = stepped_then_act  # type: ignore[method-assign]


def send(number: int) -> Callable[[], None]:
    """Something that sends this process a signal."""
    return lambda: os.kill(os.getpid(), number)
