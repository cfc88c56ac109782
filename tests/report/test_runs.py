"""Runs and sweeps below a folder, and what is known of those that cannot speak for themselves."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_runs import make_run, make_sweep

from runner.errors import UserError
from runner.report.ls import ordered
from runner.report.runs import FoundSweep, Objective, best_of, entries, find, given
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


def test_runs_are_found_newest_first(tmp_path: Path) -> None:
    make(tmp_path / "day" / "old", "completed", "2026-11-20T13:20:33+00:00")
    make(tmp_path / "new", "failed", "2026-11-21T13:20:33+00:00")
    (tmp_path / "no run").mkdir()
    assert [run.path.name for run in find(tmp_path)] == ["new", "old"]


def test_runs_of_machines_in_other_time_zones_are_put_in_order(tmp_path: Path) -> None:
    make(tmp_path / "second", "completed", "2026-11-20T13:20:00+00:00")
    make(tmp_path / "first", "completed", "2026-11-20T14:10:00+01:00")
    make(tmp_path / "third", "completed", "2026-11-20T08:30:00-05:00")
    assert [run.path.name for run in find(tmp_path)] == ["third", "second", "first"]
    by_time = ordered(entries(tmp_path), "created", backwards=False)
    assert [entry.path.name for entry in by_time] == ["first", "second", "third"]


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
    (run,) = find(tmp_path)
    assert run.status.epoch == 3


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


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", '{"state": "running", "unknown": 1}', '{"seconds": "long"}', '{"created": null}'),
        *('{"metrics": {"val/loss": "low"}}', '{"best": [1]}', '{"error": 5}'),
    ],
)
def test_a_run_whose_status_cannot_be_read_is_damaged(tmp_path: Path, content: str) -> None:
    (make(tmp_path / "run", "running") / "status.json").write_text(content)
    make(tmp_path / "good", "completed")
    assert states(tmp_path) == {"run": "damaged", "good": "completed"}


def test_a_file_of_that_name_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("[200]")
    assert states(tmp_path) == {}


def test_a_configuration_without_a_status_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.yaml").write_text("seed: 0\n")
    assert states(tmp_path) == {}


# --- sweeps -----------------------------------------------------------------------------------------------------------


def test_a_sweep_is_one_entry_and_its_runs_are_those_of_its_directory(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", ["seed"], planned=3)
    for number in (1, 0):
        make_run(sweep.place(number, [("seed", str(number))]), {"seed": number})
    make_run(tmp_path / "alone", created="2026-11-21T13:20:33+00:00")
    alone, found = entries(tmp_path)
    assert isinstance(found, FoundSweep)
    assert [alone.path.name, found.path.name] == ["alone", "sweep"]
    assert [run.path.name for run in found.runs] == ["0000-seed-0", "0001-seed-1"]
    assert [entry.path.name for entry in entries(tmp_path / "sweep")] == ["0001-seed-1", "0000-seed-0"]
    assert [run.path.name for run in find(tmp_path)] == ["alone", "0001-seed-1", "0000-seed-0"]


@pytest.mark.parametrize(
    ("states_", "planned", "state", "progress"),
    [
        (["completed", "completed"], 2, "completed", "2/2 runs"),
        (["completed", "pruned"], 2, "completed", "2/2 runs, 1 pruned"),
        (["completed", "failed", "failed"], 3, "failed", "3/3 runs, 2 failed"),
        (["completed", "failed"], 3, "interrupted", "2/3 runs, 1 failed"),
        (["completed", "interrupted"], 2, "interrupted", "1/2 runs, 1 interrupted"),
        (["created", "created"], 2, "created", "0/2 runs"),
        (["completed", "running"], 2, "interrupted", "1/2 runs, 1 killed"),  # no process executes it
    ],
)
def test_a_sweep_says_how_far_its_runs_are(
    tmp_path: Path, states_: list[State], planned: int, state: str, progress: str
) -> None:
    sweep = make_sweep(tmp_path / "sweep", ["seed"], planned)
    for number, one in enumerate(states_):
        make_run(sweep.place(number, []), state=one)
    (found,) = entries(tmp_path)
    assert isinstance(found, FoundSweep)
    assert (found.state, found.progress(), found.seconds()) == (state, progress, 1.5 * len(states_))


def test_a_sweep_with_a_process_in_one_of_its_runs_is_running(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", ["seed"], planned=1)
    with RunLock(make_run(sweep.place(0, []), state="running")):
        (found,) = entries(tmp_path)
        assert isinstance(found, FoundSweep)
        assert (found.state, found.progress()) == ("running", "0/1 runs, 1 running")


def test_the_best_run_is_the_best_by_the_direction_of_what_is_monitored(tmp_path: Path) -> None:
    for name, monitor, direction in (("up", "val/auroc", "maximize"), ("down", "val/loss", None)):
        sweep = make_sweep(tmp_path / name, ["seed"], planned=3)
        for number, best in enumerate((0.5, 0.9, 0.1)):
            make_run(sweep.place(number, []), monitor=monitor, direction=direction, best=best)
    values = {sweep.path.name: sweep.best_value for sweep in entries(tmp_path) if isinstance(sweep, FoundSweep)}
    assert values == {"up": 0.9, "down": 0.1}


def test_objectives_of_a_study_decide_and_monitor_stands_for_the_monitored_metric(tmp_path: Path) -> None:
    wanted = [{"metric": "seconds", "direction": "minimize"}, {"metric": "monitor", "direction": "maximize"}]
    sweep = make_sweep(tmp_path / "sweep", ["seed"], 2, objectives=wanted)
    make_run(sweep.place(0, []), best=0.9, seconds=60.0)
    make_run(sweep.place(1, []), best=0.8, seconds=30.0)
    (found,) = entries(tmp_path)
    assert isinstance(found, FoundSweep)
    assert found.objectives == (Objective("seconds", "minimize"), Objective("val/accuracy", "maximize"))
    assert (found.best.path.name if found.best else None, found.best_value) == ("0001", 30.0)


def test_a_run_that_is_not_complete_is_the_best_only_where_none_is(tmp_path: Path) -> None:
    objective = Objective("val/accuracy", "maximize")
    make_run(tmp_path / "pruned", state="pruned", best=0.99)
    make_run(tmp_path / "nan", state="failed", best=float("nan"))
    assert best_of(find(tmp_path), objective).path.name == "pruned"  # type: ignore[union-attr]
    make_run(tmp_path / "complete", best=0.5)
    assert best_of(find(tmp_path), objective).path.name == "complete"  # type: ignore[union-attr]


def test_a_sweep_with_a_damaged_record_is_listed_by_its_runs(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", ["seed"], planned=9)
    make_run(sweep.place(0, []), best=0.7)
    sweep.sweep_file.write_text("planned: [\n")
    (found,) = entries(tmp_path)
    assert isinstance(found, FoundSweep)
    assert (found.planned, found.state, found.best_value) == (1, "completed", 0.7)
    assert found.created == "2026-11-20T13:20:33+00:00"


# --- what is given to a command ---------------------------------------------------------------------------------------


def test_runs_sweeps_and_folders_can_be_given_together_and_count_once(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "day" / "sweep", ["seed"], planned=1)
    run = make_run(sweep.place(0, []))
    make_run(tmp_path / "day" / "alone")
    found = given([tmp_path / "day" / "alone", tmp_path / "day", run], "runner compare")
    assert [entry.path.name for entry in found] == ["alone", "sweep", run.name]


def test_a_folder_that_is_not_there_or_has_no_runs_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "first")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"there is no such folder\n.*\n  nearest:  .*/first"):
        given([tmp_path / "frist"], "runner compare")
    make_sweep(tmp_path / "begun", ["seed"], planned=4)
    for name in ("empty", "begun"):
        with pytest.raises(UserError, match=f"{name}: there are no runs in it"):
            given([tmp_path / name], "runner compare")
