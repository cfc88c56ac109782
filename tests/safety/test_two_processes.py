"""One process at a time executes a run; whoever comes second, or was believed dead, leaves it as it is."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from faults import (
    after_step,
    are_gone,
    contents,
    descendants,
    done,
    kill,
    result,
    resume,
    started,
    status_of,
    train,
    wait_for_writer,
)

from runner.runs.lock import RunLock


def train_and_stop() -> int:
    after_step(5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    return train()


@pytest.fixture
def stopped(home: Path) -> Path:
    """A run that was stopped after step 5."""
    assert done(home, train_and_stop)[0] == 75
    return home / "run"


def stand_still() -> None:
    wait_for_writer()
    Path("reached").touch()
    while not Path("go").exists():
        time.sleep(0.01)


def resume_and_stand_still() -> int:
    after_step(6, stand_still)
    return resume()


def test_of_two_that_resume_at_once_one_wins_and_the_other_names_it(
    home: Path, stopped: Path, alone: dict[str, Any]
) -> None:
    with started(home, resume_and_stand_still) as one, started(home, resume_and_stand_still) as two:
        while one.process.is_alive() and two.process.is_alive():
            time.sleep(0.01)
        (home / "go").touch()
        codes = {child.wait(): child for child in (one, two)}
    assert sorted(codes) == [0, 2]
    host = os.uname().nodename
    assert codes[2].text() == (
        f"run is being executed by another process: process {codes[0].pid} on {host}\n"
        "  fix:      wait for it, or stop it; its lock goes with it\n"
    )
    assert status_of(stopped).executions == 2
    assert result(stopped) == alone


@pytest.mark.parametrize("change", [(), ("epochs=9",)], ids=["as it is", "with a change"])
def test_whoever_is_refused_writes_nothing(home: Path, stopped: Path, change: tuple[str, ...]) -> None:
    with RunLock(stopped):
        was = contents(stopped)
        code, text = done(home, resume, *change)
        assert contents(stopped) == was
    assert code == 2
    assert f"process {os.getpid()} on " in text


def train_with_workers_and_stand_still() -> int:
    after_step(6, stand_still)
    return train("data.workers=2")


def test_the_workers_of_a_killed_process_do_not_hold_its_lock(home: Path, alone: dict[str, Any]) -> None:
    with started(home, train_with_workers_and_stand_still) as child:
        while not (home / "reached").exists():
            time.sleep(0.01)
        workers = descendants(child.pid)
        assert len(workers) == 4, "two for training, two for validation"
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -9
        code, text = done(home, resume, "data.workers=0")
    assert (code, "resume   after step 4" in text) == (0, True), text
    assert result(home / "run") == alone
    assert are_gone(workers, within_s=1), "they end with it"


def lose_the_directory(copy: Path) -> None:
    """What this process finds when it wakes up: another machine has believed it dead and has begun to write."""
    wait_for_writer()
    record = json.loads(Path("run/lock").read_bytes())
    Path("run/lock").write_text(
        json.dumps(record | {"host": "another", "pid": 7, "token": "another"}).ljust(200) + "\n"
    )
    shutil.copytree("run", copy)


def train_and_lose_the_directory(step: int, copy: Path) -> int:
    after_step(step, lambda: lose_the_directory(copy))
    return train()


@pytest.mark.parametrize("step", [5, 8, 12], ids=["within an epoch", "at the end of an epoch", "at the last step"])
def test_a_process_that_has_lost_the_directory_stops_and_writes_nothing_more(
    home: Path, tmp_path: Path, step: int
) -> None:
    code, text = done(home, train_and_lose_the_directory, step, tmp_path / "copy")
    assert code == 1
    assert "run was taken over by process 7 on another: this process leaves it as it is\n" in text
    assert contents(home / "run") == contents(tmp_path / "copy")


def lose_and_regain() -> int:
    """The other machine has come to an end in the meantime: nobody holds the lock."""
    after_step(5, lambda: Path("run/lock").write_bytes(b""))
    return train()


def test_a_process_that_slept_through_the_whole_execution_of_another_stops_too(home: Path) -> None:
    code, text = done(home, lose_and_regain)
    assert code == 1
    assert "run was taken over by another process that has ended: this process leaves it as it is\n" in text
    assert status_of(home / "run").state == "running", "what the other one says is left alone"


def train_and_die() -> int:
    after_step(5, kill)
    return train()


def test_a_killed_process_holds_no_lock(home: Path, alone: dict[str, Any]) -> None:
    assert done(home, train_and_die)[0] == -9
    assert json.loads((home / "run" / "lock").read_bytes())["host"] == os.uname().nodename
    assert done(home, resume)[0] == 0
    assert result(home / "run") == alone
