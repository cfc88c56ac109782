"""What runs printed, shown and followed."""

import io
import threading
import time
from pathlib import Path

import pytest
from pretended import FakeSlurm, make_sweep

from runner.cli import main
from runner.launch.slurm import watch as watching
from runner.launch.slurm.jobs import Job, Jobs
from runner.launch.slurm.wait import wait_for_run, wait_for_sweep
from runner.launch.slurm.watch import Watch
from runner.launch.view import SweepView
from runner.report import logs
from runner.report.logs import Follower
from runner.runs.directory import RunDirectory
from runner.runs.status import State, Status

SUBMITTED = "2026-11-24T10:00:00+00:00"


@pytest.fixture
def run(project: Path) -> RunDirectory:
    """A run whose job, 7, was submitted."""
    run = RunDirectory(project / "outputs/one")
    run.path.mkdir(parents=True)
    run.config_file.write_text("name: x\n")
    Status().write(run.status_file)
    Jobs.note(run.path, {}, [], Job("7", SUBMITTED))
    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(watching, "ASK_EVERY_S", 0.05)


def become(run: RunDirectory, state: State, error: str | None = None) -> None:
    status = Status.read(run.status_file)
    status.end(state, error)
    status.write(run.status_file)


# --- showing ----------------------------------------------------------------------------------------------------------


def test_what_a_run_printed_is_shown(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run.output_file.write_text("one\ntwo\nthree\n")
    run.log_file.write_text("2026-11-24 10:00:00  one\n")
    assert main(["logs", str(run.path)]) == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\n"
    assert main(["logs", str(run.path), "-n", "2"]) == 0
    assert capsys.readouterr().out == "two\nthree\n"


def test_of_a_run_on_a_terminal_the_log_is_shown(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    run.log_file.write_text("2026-11-24 10:00:00  one\n")
    main(["logs", str(run.path)])
    assert capsys.readouterr().out == "2026-11-24 10:00:00  one\n"


def test_of_a_run_that_waits_the_queue_is_told(
    run: RunDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_slurm.queue(("7", "PENDING", 0, "", "Priority"))
    assert main(["logs", str(run.path)]) == 0
    assert capsys.readouterr().err == f"{run.path} has printed nothing yet: job 7 is pending (Priority)\n"


def test_lines_of_a_sweep_stand_behind_the_number_of_their_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = make_sweep(project / "sweep", range(3))
    for number in (0, 2):
        sweep.runs()[number].output_file.write_text(f"a{number}\nb{number}\n")
    main(["logs", str(sweep.path)])
    assert capsys.readouterr().out.splitlines() == ["0000  a0", "0000  b0", "0002  a2", "0002  b2"]


def test_only_whole_lines_are_shown_and_each_once(tmp_path: Path) -> None:
    file, shown = tmp_path / "output.log", io.StringIO()
    follower = Follower(shown)
    follower.show({"": file})  # not there yet
    for text, expected in [
        ("one\ntw", "one\n"),
        ("o\n", "one\ntwo\n"),
        ("", "one\ntwo\n"),
        ("three\n", "one\ntwo\nthree\n"),
    ]:
        with file.open("a") as opened:
            opened.write(text)
        follower.show({"": file})
        assert shown.getvalue() == expected


def test_a_file_that_is_begun_anew_is_shown_from_its_start(tmp_path: Path) -> None:
    file, shown = tmp_path / "output.log", io.StringIO()
    follower = Follower(shown)
    for text in ("a long first line\n", "two\n"):
        file.write_text(text)
        follower.show({"": file})
    assert shown.getvalue() == "a long first line\ntwo\n"


# --- whether more is to come ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "queued", "is_over"),
    [
        ("created", "PENDING", False),
        ("interrupted", "PENDING", False),  # queued again
        ("running", "RUNNING", False),
        ("interrupted", "CANCELLED", True),
        ("running", "NODE_FAIL", True),
        ("created", None, True),
    ],
)
def test_a_run_that_is_not_at_its_end_goes_on_while_its_job_is_in_the_queue(
    run: RunDirectory, fake_slurm: FakeSlurm, state: State, queued: str | None, is_over: bool
) -> None:
    become(run, state)
    fake_slurm.queue(*([("7", queued, 0, "n1", "")] if queued else []))
    assert Watch(run.path).is_over() == is_over


def test_a_run_at_its_end_is_over_without_asking(run: RunDirectory, fake_slurm: FakeSlurm) -> None:
    become(run, "completed")
    assert Watch(run.path).is_over()
    assert fake_slurm.calls() == []


def test_a_failed_run_that_was_submitted_again_is_not_over(run: RunDirectory, fake_slurm: FakeSlurm) -> None:
    become(run, "failed")
    Jobs.note(run.path, {}, [], Job("8", "2999-01-01T00:00:00+00:00"))
    fake_slurm.queue(("8", "PENDING", 0, "", ""))
    assert not Watch(run.path).is_over()


def test_a_run_is_not_over_because_slurm_is_too_busy_to_answer(
    run: RunDirectory, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ASK_EVERY_S", 0)
    fake_slurm.fail("squeue", "slurm_load_jobs error: Socket timed out on send/recv operation")
    watch = Watch(run.path)
    assert not watch.is_over()
    (fake_slurm.folder / "squeue.error").unlink()
    fake_slurm.queue(("7", "CANCELLED", 0, "", ""))
    assert watch.is_over()


def test_where_there_is_no_slurm_a_run_that_nobody_executes_is_over(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert Watch(run.path).is_over()


def test_slurm_is_not_asked_at_every_look(
    run: RunDirectory, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ASK_EVERY_S", 60)
    fake_slurm.queue(("7", "PENDING", 0, "", ""))
    watch = Watch(run.path)
    assert [watch.is_over() for _ in range(5)] == [False] * 5
    assert len(fake_slurm.calls("squeue")) == 1


# --- waiting ----------------------------------------------------------------------------------------------------------


def later(
    run: RunDirectory, fake_slurm: FakeSlurm, state: State | None, queued: str, printed: str = ""
) -> threading.Thread:
    """Something happens to the run and its job while somebody waits for them."""

    def happen() -> None:
        time.sleep(0.3)
        run.output_file.write_text(printed)
        if state is not None:
            become(run, state)
        fake_slurm.queue(("7", queued, 0, "n1", ""))

    thread = threading.Thread(target=happen)
    thread.start()
    return thread


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("failed", 1), ("interrupted", 75)])
def test_whoever_waits_sees_what_is_printed_and_gets_the_exit_code_of_the_run(
    run: RunDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str], state: State, code: int
) -> None:
    fake_slurm.queue(("7", "RUNNING", 0, "n1", ""))
    thread = later(run, fake_slurm, state, "COMPLETED", "epoch 1\n")
    assert wait_for_run(run) == code
    thread.join()
    assert capsys.readouterr().out == "epoch 1\n"


@pytest.mark.parametrize(
    ("queued", "state", "error", "code"),
    [
        ("NODE_FAIL", "failed", "ended with job 7: its node failed", 1),
        ("OUT_OF_MEMORY", "failed", "ended with job 7: out of memory", 1),
        ("CANCELLED", "interrupted", "ended with job 7: cancelled before it had saved", 75),
    ],
)
def test_what_only_slurm_knows_of_the_end_is_written_into_the_status(
    run: RunDirectory, fake_slurm: FakeSlurm, queued: str, state: State, error: str, code: int
) -> None:
    become(run, "running")
    fake_slurm.queue(("7", "RUNNING", 0, "n1", ""))
    thread = later(run, fake_slurm, None, queued)
    assert wait_for_run(run) == code
    thread.join()
    status = Status.read(run.status_file)
    assert (status.state, status.error) == (state, error)


def test_whoever_waits_for_a_sweep_is_told_of_each_run_that_ends(
    project: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.launch.slurm.wait._LOOK_EVERY_S", 0.02)
    sweep = make_sweep(project / "sweep", range(3))
    Jobs.note(sweep.path, {}, [], Job("7", SUBMITTED, {0: 0, 1: 1, 2: 2}))
    fake_slurm.queue(*((f"7_{task}", "RUNNING", 0, "n1", "") for task in range(3)))
    shown = io.StringIO()
    runs = sweep.runs()

    def happen() -> None:
        time.sleep(0.2)
        become(runs[0], "running")
        become(runs[1], "running")
        time.sleep(0.3)
        become(runs[0], "completed")
        become(runs[1], "failed", "no such file")
        fake_slurm.queue(("7_2", "CANCELLED", 0, "", ""))

    thread = threading.Thread(target=happen)
    thread.start()
    assert wait_for_sweep(sweep, SweepView(3, ["seed"], shown, fancy=False)) == 75  # one was cancelled
    thread.join()
    assert [line.split()[:3] for line in shown.getvalue().splitlines() if line.startswith("0")] == [
        ["0000", "1/3", "completed"],
        ["0001", "2/3", "failed"],
        ["0002", "3/3", "interrupted"],
    ]
