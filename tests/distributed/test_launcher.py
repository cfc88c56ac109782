"""``runner train`` starts the processes of a run itself, and none of them outlives it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crew import assert_same, command, done, free_port, rows, status_of

from runner.runs.directory import RunDirectory

pytestmark = pytest.mark.slow

TINY = (
    "tracking.tensorboard=false",
    "model.hidden=[8]",
    "model.dropout=0",
    "data.batch_size=315",
    "name=same",
    "optimizer=sgd",
)
TWO = (*TINY, "device=ddp", "device.processes=2", "run_dir=run")
WITHIN_S = 120.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@contextlib.contextmanager
def started(home: Path, *args: str, program: tuple[str, ...] = ("-m", "runner")) -> Iterator[subprocess.Popen[str]]:
    """``runner ARGS`` in a process group of its own, as a shell starts it in a terminal."""
    with (home.parent / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, *program, *args],
            cwd=home,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def printed(home: Path) -> str:
    return (home.parent / "out").read_text()


def wait_until(is_so: Callable[[], object], within_s: float = WITHIN_S) -> None:
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The processes that a process has started, in their order; none that has ended."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return sorted(found)


def descendants(pid: int) -> list[int]:
    return [one for child in children(pid) for one in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers(pid: int) -> list[int]:
    """The processes that train, by rank."""
    return [child for child in children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def train_until_saved(home: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return started(home, "train", *TWO, "epochs=100000", "data.workers=1")


def has_saved(home: Path) -> bool:
    return any((home / "run" / "checkpoints").glob("step-*-epoch-2.pt"))


def test_two_processes_are_started_in_one_directory_and_train_what_one_does(home: Path) -> None:
    with started(home, "train", *TWO, "epochs=2") as launcher:
        assert launcher.wait(WITHIN_S) == 0, printed(home)
    assert [path.name for path in home.iterdir()] == ["run"]
    assert sorted(path.name for path in (home / "run" / "ranks").iterdir()) == ["1.log"]
    assert printed(home).startswith("run      run\ndevice   2 processes, each on cpu, ")
    assert status_of(RunDirectory(home / "run")).pid == launcher.pid
    assert done(home, 1, command, "train", *TINY, "run_dir=alone", "epochs=2")[0] == [0]
    assert_same(RunDirectory(home / "run"), RunDirectory(home / "alone"))


REQUESTS: dict[str, tuple[Callable[[int], None], int]] = {
    "SIGTERM to the launcher": (lambda pid: os.kill(pid, signal.SIGTERM), 75),
    "SIGUSR1 to one of the workers": (lambda pid: os.kill(workers(pid)[1], signal.SIGUSR1), 75),
    "Ctrl-C in the terminal": (lambda pid: os.killpg(pid, signal.SIGINT), 130),
}


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_stops_all_with_one_checkpoint(home: Path, request_: str) -> None:
    ask, code = REQUESTS[request_]
    with train_until_saved(home) as launcher:
        wait_until(lambda: has_saved(home))
        all_of_them = descendants(launcher.pid)
        ask(launcher.pid)
        assert launcher.wait(30) == code, printed(home)
    text = printed(home)
    step = status_of(RunDirectory(home / "run")).step
    assert text.endswith(f"stopped after step {step:,}, saved; to go on: runner resume run\n")
    assert "Traceback" not in text + (home / "run" / "ranks" / "1.log").read_text()
    assert len(all_of_them) > 4, "two workers, with a loader's process each for training and validation"
    wait_until(lambda: not any(map(is_alive, all_of_them)), within_s=10)


def test_ctrl_c_while_the_processes_are_being_started_waits_for_them_to_listen(home: Path) -> None:
    with train_until_saved(home) as launcher:
        wait_until(lambda: workers(launcher.pid))
        os.killpg(launcher.pid, signal.SIGINT)
        assert launcher.wait(60) == 130, printed(home)
    assert printed(home) == "stopped before the first step; to go on: runner resume run\n"
    assert status_of(RunDirectory(home / "run")).state == "interrupted"


def test_a_launcher_that_is_killed_takes_all_with_it(home: Path) -> None:
    with train_until_saved(home) as launcher:
        wait_until(lambda: has_saved(home))
        all_of_them = descendants(launcher.pid)
        launcher.kill()
        wait_until(lambda: not any(map(is_alive, all_of_them)), within_s=10)
    codes, text = done(home, 2, command, "resume", "run", "epochs=3", "device.processes=auto", "data.workers=0")
    assert codes == [0, 0], text


@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_is_killed_fails_the_run_with_its_reason(home: Path, rank: int) -> None:
    with train_until_saved(home) as launcher:
        wait_until(lambda: has_saved(home))
        all_of_them = descendants(launcher.pid)
        os.kill(workers(launcher.pid)[rank], signal.SIGKILL)
        assert launcher.wait(30) == 1
    reason = f"rank {rank} was killed by SIGKILL (the system does that when memory runs out)"
    status = status_of(RunDirectory(home / "run"))
    assert status.state == "failed"
    assert str(status.error).startswith(reason)
    assert reason in printed(home)
    assert reason in (home / "run" / "train.log").read_text()
    wait_until(lambda: not any(map(is_alive, all_of_them)), within_s=10)


STANDS_STILL = """
import os, signal, time
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.calls = nn.Linear(64, 10), 0

    def forward(self, images):
        self.calls += self.training
        if self.calls == 3:
            if os.environ["RANK"] == "1":
                raise ValueError("nothing can be seen")
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            time.sleep(1000)  # as a process does that waits for one that has gone, in a library
        return self.linear(images.flatten(1))
"""


def test_a_process_that_waits_for_one_that_has_failed_is_ended_within_half_a_minute(home: Path) -> None:
    (home / "still.py").write_text(STANDS_STILL)
    (home / "conf" / "model").mkdir(parents=True)
    (home / "conf" / "model" / "still.yaml").write_text("_target_: still.Net\n")
    typed = [text for text in TWO if not text.startswith("model.")]
    with started(home, "train", "model=still", *typed) as launcher:
        log = home / "run" / "ranks" / "1.log"
        wait_until(lambda: log.exists() and "nothing can be seen" in log.read_text())
        all_of_them = descendants(launcher.pid)
        assert launcher.wait(30) == 1
    assert "ValueError: nothing can be seen" in log.read_text()
    assert str(status_of(RunDirectory(home / "run")).error).startswith("rank 1")
    wait_until(lambda: not any(map(is_alive, all_of_them)), within_s=10)


def test_a_sweep_of_two_trials_of_two_processes_is_two_directories(home: Path) -> None:
    typed = [text for text in TWO if not text.startswith("run_dir")]
    with started(home, "train", "-m", *typed, "epochs=1", "seed=0,1") as launcher:
        assert launcher.wait(WITHIN_S) == 0, printed(home)
    found = [RunDirectory(file.parent) for file in home.glob("outputs/**/config.yaml")]
    assert len(found) == 2
    assert [status_of(run).state for run in found] == ["completed", "completed"]
    assert len({rows(run)[0]["train/loss"] for run in found}) == 2


def test_torchrun_starts_processes_that_join(home: Path) -> None:
    torchrun = (
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(free_port()),
        "-m",
        "runner",
    )
    with started(home, "train", *TINY, "device=ddp", "epochs=1", program=torchrun) as launcher:
        assert launcher.wait(WITHIN_S) == 0, printed(home)
    (run,) = [RunDirectory(file.parent) for file in home.glob("outputs/**/config.yaml")]
    assert len(rows(run)) == 2
    assert printed(home).count("best epoch, 1 of 1") == 1
    with started(home, "resume", str(run.path), "epochs=2", program=torchrun) as launcher:
        assert launcher.wait(WITHIN_S) == 0, printed(home)
    assert len(rows(run)) == 3
