"""What a person sees of a sweep that is under way."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.launch.view import SweepView
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory


@pytest.fixture
def make_run(tmp_path: Path, new_run: Callable[..., RunDirectory]) -> Callable[..., RunDirectory]:
    """Makes a run of a sweep with a learning rate and a status."""
    sweep = SweepDirectory(tmp_path / "sweep")

    def make(number: int, lr: str, **status: object) -> RunDirectory:
        place = sweep.place(number, [("optimizer.lr", lr)])
        run = new_run(f"optimizer.lr={lr}", f"run_dir={place}")
        write(run, **status)
        return run

    return make


def write(run: RunDirectory, **given: object) -> Status:
    status = Status(**{"monitor": "val/accuracy", "epochs": 10, **given})  # type: ignore[arg-type]
    status.write(run.status_file)
    return status


def view(stream: io.StringIO, planned: int, fancy: bool = False) -> SweepView:
    return SweepView(planned, ["optimizer.lr"], stream, fancy)


def test_without_a_terminal_each_run_that_ends_is_a_line(make_run) -> None:
    stream = io.StringIO()
    shown = view(stream, 3)
    good, bad = make_run(0, "0.004430375245218269"), make_run(1, "0.5")
    for run in (good, bad):
        shown.add(run)
        shown.started(run)
    shown.ended(good, write(good, state="completed", best=0.975, seconds=12.0))
    shown.ended(
        bad, write(bad, state="failed", error="RuntimeError: too much\nmore", seconds=0.5), "tried again, 1 of 2"
    )
    shown.look()
    shown.close()
    assert stream.getvalue() == (
        "0000  1/3  completed    optimizer.lr=0.00443  val/accuracy 0.9750  12 s\n"
        "0001  1/3  failed       optimizer.lr=0.5  0.5 s  tried again, 1 of 2\n"
        "      RuntimeError: too much\n"
    )


@pytest.mark.parametrize("fancy", [True, False])
def test_a_sweep_goes_on_when_what_it_is_shown_on_is_gone(make_run, fancy: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(os.fdopen(writer, "wb", buffering=0), write_through=True) as gone:
        shown = SweepView(2, ["optimizer.lr"], gone, fancy)
        good, bad = make_run(0, "0.1"), make_run(1, "0.2")
        for run in (good, bad):
            shown.add(run)
            shown.started(run)
            shown.look()
        shown.ended(good, write(good, state="completed"))
        shown.ended(bad, write(bad, state="failed", error="no"))
        shown.say("more")
        shown.close()
        assert os.path.samestat(os.fstat(writer), os.stat(os.devnull)), "what others print there does no harm either"


def test_runs_that_were_over_before_count_as_ended(make_run) -> None:
    stream = io.StringIO()
    shown = view(stream, 2)
    before, now = make_run(0, "0.1", state="completed"), make_run(1, "0.2")
    for run in (before, now):
        shown.add(run)
    shown.started(now)
    shown.ended(now, write(now, state="pruned", seconds=1.0))
    assert "0001  2/2  pruned" in stream.getvalue()


def test_on_a_terminal_a_table_tells_state_epoch_metric_and_the_time_left(make_run, monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    shown = view(stream, 3, fancy=True)
    running, waiting, over = make_run(0, "0.1"), make_run(1, "0.2"), make_run(2, "0.3", state="completed", best=0.5)
    for run in (running, waiting, over):
        shown.add(run)
    shown.started(running)
    write(running, state="running", epoch=4, best=0.9)
    clock[0] += 20
    shown.look()
    text = stream.getvalue()
    (row,) = [" ".join(line.split()) for line in text.splitlines() if "4/10" in line]
    assert row.endswith("4/10 val/accuracy 0.9000 30 s")  # six epochs at the pace of four in 20 s
    assert "waiting" in text
    assert "1 completed, 1 running of 3" in text
    shown.close()


def test_of_more_runs_than_there_are_lines_those_that_run_are_shown(make_run, monkeypatch) -> None:
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setenv("COLUMNS", "100")
    stream = io.StringIO()
    shown = view(stream, 30, fancy=True)
    runs = [make_run(number, "0.1", state="completed" if number < 10 else "created") for number in range(30)]
    for run in runs:
        shown.add(run)
    shown.started(runs[20])
    shown.look()
    text = stream.getvalue()
    assert "0020" in text
    assert "0009" in text
    assert "0000" not in text
    assert "0029" not in text
    shown.close()
