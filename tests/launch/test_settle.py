"""The status of a run whose process has ended without saying so."""

import signal
from collections.abc import Callable

import pytest

from runner.launch.settle import settle, settle_unless_held
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock
from runner.runs.status import Status


@pytest.fixture
def running(new_run: Callable[..., RunDirectory]) -> RunDirectory:
    run = new_run()
    status = Status.read(run.status_file)
    status.begin()
    status.write(run.status_file)
    return run


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-signal.SIGKILL, "was killed by SIGKILL, as the system does with a process when memory runs out"),
        (-signal.SIGSEGV, "crashed: SIGSEGV"),
        (-signal.SIGTERM, "was killed: SIGTERM"),
        (3, "ended with exit code 3 and without a word"),
    ],
)
def test_a_process_that_died_leaves_a_failed_run_with_the_reason(running: RunDirectory, code: int, reason: str) -> None:
    assert settle(running, code, asked_to_stop=False).state == "failed"
    written = Status.read(running.status_file)
    assert (written.state, written.error) == ("failed", reason)
    assert written.ended is not None
    assert reason in running.log_file.read_text()


def test_the_end_of_what_it_printed_is_part_of_the_reason(running: RunDirectory) -> None:
    running.output_file.write_text("a line\n" * 100 + "Fatal Python error: Segmentation fault\n  File x\n")
    error = settle(running, -signal.SIGSEGV, asked_to_stop=False).error or ""
    assert error.startswith("crashed: SIGSEGV\na line\n")
    assert error.endswith("Fatal Python error: Segmentation fault\n  File x")
    assert error.count("a line") == 38


def test_one_that_was_killed_because_it_did_not_stop_is_interrupted_not_failed(running: RunDirectory) -> None:
    status = settle(running, -signal.SIGKILL, asked_to_stop=True)
    assert status.state == "interrupted"
    assert status.error is not None
    assert status.error.endswith("before it had saved")


@pytest.mark.parametrize("state", ["completed", "failed", "interrupted", "pruned"])
def test_what_the_run_has_said_itself_stays(running: RunDirectory, state: str) -> None:
    status = Status.read(running.status_file)
    status.end(state, "its own words")  # type: ignore[arg-type]
    status.write(running.status_file)
    before = running.status_file.read_bytes()
    assert settle(running, -signal.SIGKILL, asked_to_stop=False).error == "its own words"
    assert running.status_file.read_bytes() == before


def test_a_run_that_another_process_executes_is_left_as_it_says(running: RunDirectory) -> None:
    before = running.status_file.read_bytes()
    with RunLock(running.path):
        assert settle_unless_held(running, 2, asked_to_stop=False).state == "running"
    assert running.status_file.read_bytes() == before
