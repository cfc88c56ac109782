"""Going on with a sweep whose runs may still be executed."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import UserError
from runner.launch import resume
from runner.launch.resume import resume_sweep
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock, is_held
from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory, SweepRecord, create
from runner.trust import Trust


@pytest.fixture
def sweep(tmp_path: Path, new_run: Callable[..., RunDirectory]) -> SweepDirectory:
    """A sweep of one run, which is complete."""
    launcher = {"_target_": "hydra_plugins.runner_plugins.local_launcher.LocalLauncher", "n_jobs": 1, "retries": 0}
    record = SweepRecord("2026-11-20T13:20:33+00:00", [], ["seed"], 1, [["seed=0"]], 1, {}, launcher)
    run = new_run()
    status = Status.read(run.status_file)
    status.end("completed")
    status.write(run.status_file)

    def fill(draft: SweepDirectory) -> None:
        run.path.rename(draft.place(0, []))

    return create(tmp_path / "sweep", record, fill)


def test_runs_of_a_killed_sweep_are_waited_for_until_they_have_saved(
    sweep: SweepDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = RunLock(sweep.runs()[0].path).__enter__()
    threading.Timer(0.5, lock.__exit__, (None, None, None)).start()
    assert resume_sweep(sweep, [], Trust(())) == 0
    assert not is_held(lock.folder)
    assert "nothing is left to train" in capsys.readouterr().out


def test_runs_whose_directories_were_removed_are_not_called_complete(
    sweep: SweepDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(sweep.runs()[0].path)
    assert resume_sweep(sweep, [], Trust(())) == 0
    assert "is complete: 1 run, 1 of them removed, and nothing is left to train" in capsys.readouterr().out


def test_a_run_that_somebody_else_goes_on_with_is_left_to_them(
    sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "GRACE_S", -3.0)
    path = sweep.runs()[0].path
    with RunLock(path), pytest.raises(UserError, match=f"{path} is being executed by another process"):
        resume_sweep(sweep, [], Trust(()))
