"""Runs below a folder, and what is known of those that cannot speak for themselves."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.report.ls import table
from runner.report.runs import find
from runner.runs.lock import RunLock
from runner.runs.status import State, Status


def make(folder: Path, state: State, created: str = "2026-11-20T13:20:33+00:00") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    Status(state=state, created=created, epoch=3, epochs=10, monitor="val/loss", best=0.5).write(folder / "status.json")
    return folder


def leave_lock(folder: Path, host: str, pid: int) -> None:
    (folder / "lock").write_text(json.dumps({"host": host, "pid": pid, "token": "t", "beat": 3}).ljust(200) + "\n")


def states(root: Path) -> dict[str, str]:
    return {run.path.name: run.state for run in find(root)}


def dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    make(tmp_path / "day" / "old", "completed", "2026-11-20T13:20:33+00:00")
    make(tmp_path / "new", "failed", "2026-11-21T13:20:33+00:00")
    (tmp_path / "no run").mkdir()
    header, *rows = (line.split() for line in table(find(tmp_path)).splitlines())
    assert header == ["run", "state", "epochs", "best", "time"]
    assert [row[1:5] for row in rows] == [
        ["failed", "3/10", "val/loss", "0.5000"],
        ["completed", "3/10", "val/loss", "0.5000"],
    ]


def test_a_run_that_a_process_executes_is_running(tmp_path: Path) -> None:
    with RunLock(make(tmp_path / "run", "running")):
        assert states(tmp_path) == {"run": "running"}


def test_looking_leaves_the_lock_alone(tmp_path: Path) -> None:
    run = make(tmp_path / "run", "running")
    with RunLock(run) as lock:
        find(tmp_path)
        lock.check()
    leave_lock(run, socket.gethostname(), dead_pid())
    find(tmp_path)
    with RunLock(run) as lock:
        lock.check()


@pytest.mark.parametrize("number", ["dead", "taken by another"])
def test_a_run_whose_process_was_killed_is_killed(tmp_path: Path, number: str) -> None:
    pid = dead_pid() if number == "dead" else os.getpid()
    leave_lock(make(tmp_path / "run", "running"), socket.gethostname(), pid)
    assert states(tmp_path) == {"run": "killed"}
    (record,) = (run.record() for run in find(tmp_path))
    assert (record["state"], record["epoch"]) == ("killed", 3)


def test_a_run_whose_lock_names_nobody_is_killed(tmp_path: Path) -> None:
    make(tmp_path / "run", "running")
    assert states(tmp_path) == {"run": "killed"}


@pytest.mark.parametrize(("age_s", "state"), [(10, "running"), (600, "killed")])
def test_a_run_of_another_machine_is_killed_once_its_lock_is_silent(tmp_path: Path, age_s: int, state: str) -> None:
    run = make(tmp_path / "run", "running")
    leave_lock(run, "node7", os.getpid())
    os.utime(run / "lock", (time.time() - age_s,) * 2)
    assert states(tmp_path) == {"run": state}


@pytest.mark.parametrize("state", ["created", "completed", "failed", "interrupted"])
def test_any_other_state_is_that_of_the_status(tmp_path: Path, state: State) -> None:
    make(tmp_path / "run", state)
    assert states(tmp_path) == {"run": state}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "running", "unknown": 1}', '{"seconds": "long"}'])
def test_a_run_whose_status_cannot_be_read_is_damaged(tmp_path: Path, content: str) -> None:
    (make(tmp_path / "run", "running") / "status.json").write_text(content)
    make(tmp_path / "good", "completed")
    assert states(tmp_path) == {"run": "damaged", "good": "completed"}


def test_a_file_of_that_name_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("[200]")
    assert states(tmp_path) == {}
