"""What goes wrong in one of the processes ends the run, and its reason is kept."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from comparing import assert_identical, result
from crew import after_step, command, crew, done, execute, is_rank, send, status_of

from runner.errors import UserError
from runner.launch.slurm.ended import main as ended
from runner.runs.directory import RunDirectory

NewRun = Callable[..., RunDirectory]

TINY = ("device=ddp", "epochs=3", "tracking.tensorboard=false", "model.hidden=[8]", "data.batch_size=315", "name=same")
"""4 steps an epoch."""


def fail(rank: int, error: BaseException) -> Callable[[str], int]: ...


def resume_and_fail(run: str, ranks: list[int], kind: type[BaseException], *words: str) -> int:
    """Execute a run, of which some processes raise something after step 6."""

    def raise_it() -> None:
        raise kind(*words)

    if any(map(is_rank, ranks)):
        after_step(6, raise_it)
    return command("resume", run)


def test_an_exception_in_another_process_is_told_with_its_traceback(new_run: NewRun, tmp_path: Path) -> None:
    run = new_run(*TINY)
    codes, text = done(tmp_path, 2, resume_and_fail, str(run.path), [1], ValueError, "a hole in the data")
    assert codes == [1, 1]
    log = run.log_file.read_text()
    for told in (text, log):
        assert "rank 1 failed:\n" in told
        assert "in raise_it" in told
        assert told.count("ValueError: a hole in the data") == 1
    assert "ValueError: a hole in the data" in run.log_of_rank(1).read_text()
    status = status_of(run)
    assert (status.state, status.error) == ("failed", "rank 1: ValueError: a hole in the data")


def test_a_mistake_of_the_user_s_that_another_process_finds_is_told_without_a_traceback(
    new_run: NewRun, tmp_path: Path
) -> None:
    run = new_run(*TINY)
    codes, text = done(tmp_path, 2, resume_and_fail, str(run.path), [1], UserError, "picture 7 is broken")
    assert codes == [1, 1]
    assert text.endswith("rank 1: picture 7 is broken\n")
    assert "Traceback" not in text + run.log_of_rank(1).read_text()
    assert status_of(run).error == "rank 1: picture 7 is broken"


@pytest.mark.parametrize("ranks", [[0], [0, 1]])
def test_an_exception_in_the_first_process_is_told_as_that_of_a_single_one(
    new_run: NewRun, tmp_path: Path, ranks: list[int]
) -> None:
    run = new_run(*TINY)
    codes, text = done(tmp_path, 2, resume_and_fail, str(run.path), ranks, ValueError, "a hole")
    assert codes == [1, 1]
    assert "ValueError: a hole\n" in text
    assert "ValueError: a hole" in str(status_of(run).error)
    assert "ValueError: a hole" in run.log_of_rank(1).read_text()


def test_code_of_the_user_s_that_leaves_python_fails_the_run(new_run: NewRun, tmp_path: Path) -> None:
    run = new_run(*TINY)
    codes, _ = done(tmp_path, 2, resume_and_fail, str(run.path), [1], SystemExit, "3")
    assert codes == [1, 1]
    assert status_of(run).error == "rank 1: SystemExit: 3"


def resume_and_kill(run: str, rank: int, step: int) -> int:
    """Execute a run, of which one process is killed after a step."""
    if is_rank(rank):
        after_step(step, send(signal.SIGKILL))
    return command("resume", run)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_ends_the_others_and_the_run_goes_on_exactly(
    new_run: NewRun, tmp_path: Path, rank: int
) -> None:
    alone, run = (new_run(*TINY, "checkpoint.every_steps=3", "model.dropout=0.2") for _ in range(2))
    execute(alone, 2)
    with crew(tmp_path, 2, resume_and_kill, str(run.path), rank, 7) as together:
        codes = together.codes(within_s=30)
    assert codes[rank] == -signal.SIGKILL
    assert codes[1 - rank] == 1
    if rank == 1:
        assert status_of(run).state == "failed"
        assert str(status_of(run).error).startswith("another process of the run is gone: ")
    execute(run, 2)
    assert_identical(result(run), result(alone))


def resume_in_a_job_and_kill(run: str, rank: int, step: int) -> int:
    """The same in a job of Slurm."""
    os.environ["SLURM_JOB_ID"] = "7"
    return resume_and_kill(run, rank, step)


def test_in_a_job_a_process_that_is_gone_fails_the_run_only_if_the_job_ends_by_that(
    new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(*TINY)
    with crew(tmp_path, 2, resume_in_a_job_and_kill, str(run.path), 1, 7) as together:
        assert together.codes(within_s=30) == [1, -signal.SIGKILL]
    assert "another process of the run is gone: " in run.log_file.read_text()
    assert status_of(run).state == "running"  # where its node has failed, the job waits for another one
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    run.output_file.write_text("srun: error: node2: task 1: Out Of Memory\n")
    ended(["137", "--requeues", "0", "--run", str(run.path)])
    assert status_of(run).state == "failed"
    assert str(status_of(run).error).startswith("was killed because it took more than the job's memory")


def resume_and_kill_all(run: str, step: int) -> int:
    """Execute a run whose processes are all killed after a step."""
    after_step(step, send(signal.SIGKILL))
    return command("resume", run)


@pytest.mark.parametrize("size", [2, 3])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(new_run: NewRun, tmp_path: Path, size: int) -> None:
    typed = (*TINY, "checkpoint.every_steps=3", "model.dropout=0.2", "training.accumulate=2", "data.batch_size=150")
    alone, run = new_run(*typed), new_run(*typed)
    execute(alone, size)
    for step in (4, 9, 11):
        codes, _ = done(tmp_path, size, resume_and_kill_all, str(run.path), step)
        assert codes == [-signal.SIGKILL] * size
    execute(run, size)
    assert_identical(result(run), result(alone))
