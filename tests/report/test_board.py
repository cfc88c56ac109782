"""``runner board``: a real TensorBoard on runs and sweeps, that shows what differs and ends with the command."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_runs import make_run, make_sweep
from tensorboard.plugins.hparams import metadata

from runner.report.board import above, link, write_columns
from runner.report.comparison import compare
from runner.report.runs import find, given, runs_of
from runner.tracking.tensorboard import TensorBoard

RATES = (0.1, 0.01, 1e20)


def board_of(run: Path) -> TensorBoard:
    return TensorBoard(run / "tensorboard")


def finish(run: Path, settings: dict[str, Any], accuracy: float) -> None:
    """What a run writes at its end."""
    board = board_of(run)
    known = {"optimizer.lr": settings["optimizer.lr"], "model": "mlp", "epochs": 10}
    board.hparams(known, {"final/val/accuracy": accuracy}, 9)
    board.close()


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two complete runs, one that has failed, one that has no event files yet."""
    made = make_sweep(tmp_path / "sweep", ["optimizer.lr"], planned=4)
    for number, rate in enumerate(RATES):
        is_failed = rate > 1
        run = make_run(
            made.place(number, [("lr", str(rate))]),
            {"optimizer.lr": rate},
            metrics={"val/accuracy": 0.5 + number / 4},
            state="failed" if is_failed else "completed",
        )
        board = board_of(run)
        board.scalars({"val/accuracy": 0.5 + number / 4}, 1)
        board.close()
        if not is_failed:
            finish(run, {"optimizer.lr": rate}, 0.5 + number / 4)
    make_run(made.place(3, [("lr", "1")]), {"optimizer.lr": 1.0}, state="created")
    return made.path


def links(folder: Path) -> dict[str, Path]:
    return {
        str((Path(at) / name).relative_to(folder)): (Path(at) / name).resolve()
        for at, names, _ in os.walk(folder)
        for name in names
        if (Path(at) / name).is_symlink()
    }


def test_runs_are_linked_under_their_names_and_later_ones_as_they_come(sweep: Path, tmp_path: Path) -> None:
    folder = tmp_path / "board"
    folder.mkdir()
    link(find(sweep), above([sweep]), folder)
    runs = {run.name: run / "tensorboard" for run in sorted((sweep / "runs").iterdir())}
    named = {name: events.resolve() for name, events in runs.items()}
    late = "0003-lr-1"
    assert links(folder) == {name: events for name, events in named.items() if name != late}
    runs[late].mkdir()
    link(find(sweep), above([sweep]), folder)
    assert links(folder) == named


def test_runs_of_several_places_keep_the_folders_that_tell_them_apart(sweep: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "day" / "alone")
    (other / "tensorboard").mkdir()
    folder = tmp_path / "board"
    folder.mkdir()
    link([*find(sweep), *find(other)], above([sweep, other]), folder)
    assert set(links(folder)) == {"day/alone", "sweep/0000-lr-0.1", "sweep/0001-lr-0.01", "sweep/0002-lr-1e-20"}


def test_a_run_keeps_its_name_when_others_come_in_other_folders(tmp_path: Path) -> None:
    folder, outputs = tmp_path / "board", tmp_path / "outputs"
    folder.mkdir()
    for number, name in enumerate(["monday/first", "tuesday/second"], start=1):
        (make_run(outputs / name) / "tensorboard").mkdir()
        link(find(outputs), above([outputs]), folder)
        assert len(links(folder)) == number
    assert set(links(folder)) == {"monday/first", "tuesday/second"}


def test_what_is_linked_lies_in_the_folder_whatever_the_way_to_the_runs(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (make_run(tmp_path / "here" / "run") / "tensorboard").mkdir()
    folder = tmp_path / "board"
    folder.mkdir()
    monkeypatch.chdir(tmp_path / "here")
    dirs = [Path("../sweep"), Path()]
    link(runs_of(given(dirs, "runner board")), above(dirs), folder)
    assert set(links(folder)) == {"here/run", "sweep/0000-lr-0.1", "sweep/0001-lr-0.01", "sweep/0002-lr-1e-20"}


def test_the_columns_are_the_settings_that_differ_and_the_metrics(sweep: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_columns(compare(given([sweep], "runner board")), tmp_path / "board")
    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    shown = metadata.parse_experiment_plugin_data(content)
    assert [info.name for info in shown.hparam_infos] == ["optimizer.lr"]
    assert list(shown.hparam_infos[0].domain_discrete) == [0.01, 0.1, 1.0, 1e20]
    assert [info.name.tag for info in shown.metric_infos] == ["final/val/accuracy"]


def test_where_nothing_differs_the_columns_are_left_to_tensorboard(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    write_columns(compare(given([tmp_path], "runner board")), tmp_path / "board")
    assert not (tmp_path / "board").exists()


# --- the program ------------------------------------------------------------------------------------------------------


@pytest.fixture
def board(sweep: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """``runner board`` on the sweep, with a folder for temporary files of its own: ``temporary``."""
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "runner", "board", str(sweep), "--port", "0"],
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as a terminal has it: Ctrl-C reaches every process of the group
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def address_of(board: "subprocess.Popen[str]") -> str:
    assert board.stdout is not None
    found = re.fullmatch(r"board    (http://localhost:\d+/)\n", board.stdout.readline())
    assert found
    assert board.stdout.readline() == "Ctrl-C ends it\n"
    return found[1]


def asked(address: str, what: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{address}data/plugin/hparams/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
def test_tensorboard_shows_the_sweep_and_its_hparams(board: "subprocess.Popen[str]") -> None:
    address = address_of(board)
    until = time.monotonic() + 60
    sessions: list[Any] = []
    while len(sessions) < 2 and time.monotonic() < until:  # it reads the files one after the other
        experiment = asked(address, "experiment", {"experimentName": ""})
        wanted = {
            "experimentName": "",
            "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
            "colParams": [{"hparam": "optimizer.lr", "includeInResult": True}],
            "startIndex": 0,
            "sliceSize": 100,
        }
        groups = asked(address, "session_groups", wanted).get("sessionGroups", [])
        sessions = [session for group in groups for session in group["sessions"]]
        time.sleep(0.5)
    assert [info["name"] for info in experiment["hparamInfos"]] == ["optimizer.lr"]
    assert [info["name"]["tag"] for info in experiment["metricInfos"]] == ["final/val/accuracy"]
    # The failed run and the one that has not begun have curves at most; they are no rows, and in nobody's way.
    assert {session["name"] for session in sessions} == {"0000-lr-0.1", "0001-lr-0.01"}
    assert {group["hparams"]["optimizer.lr"] for group in groups} == {0.1, 0.01}
    with urllib.request.urlopen(f"{address}data/runs", timeout=30) as answer:
        assert {"0000-lr-0.1", "0001-lr-0.01", "0002-lr-1e-20"} <= set(json.load(answer))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to"), [(signal.SIGINT, "group"), (signal.SIGTERM, "command"), (signal.SIGHUP, "command")]
)
def test_ctrl_c_sigterm_and_a_closed_terminal_end_both_and_leave_nothing(
    board: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals, to: str
) -> None:
    address_of(board)
    (os.killpg if to == "group" else os.kill)(board.pid, number)
    out, err = board.communicate(timeout=20)
    assert (board.returncode, out, err) == (0, "", "")
    until = time.monotonic() + 10
    while not group_is_empty(board.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert group_is_empty(board.pid)
    assert list((tmp_path / "temporary").glob("runner-board-*")) == []


@pytest.mark.slow
def test_a_tensorboard_that_ends_by_itself_is_told_with_what_it_said(sweep: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-P", "-m", "runner", "board", str(sweep), "--port", port],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr
