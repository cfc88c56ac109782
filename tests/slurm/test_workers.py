"""Tasks of an array that work for a study, with a pretended Slurm: real trials, one worker after the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pretended import FakeSlurm

from runner.cli import main
from runner.launch.slurm.jobs import newest
from runner.launch.slurm.study import hand_over
from runner.launch.study_sweep import Question
from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory
from runner.trust import Trust

SMALL = ["max_steps=3", "launcher.cpus=1", "tracking.tensorboard=false", "launcher.max_parallel=2"]
RATES = "optimizer.lr=interval(1e-3,1e-1)"


@pytest.fixture
def study(project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> SweepDirectory:
    """A study of three trials, submitted as job 41."""
    fake_slurm.queue(("41_0", "PENDING", 0, "", "Priority"), ("41_1", "PENDING", 0, "", "Priority"))
    assert main(["train", "-m", "launcher=slurm", "sweeper=optuna", "n_trials=3", RATES, *SMALL]) == 0
    (path,) = project.glob("outputs/*/*-sweep")
    assert "job      41, 2 workers, the first is pending (Priority)\n" in capsys.readouterr().out
    return SweepDirectory(path.relative_to(project))


def work(study: SweepDirectory, array: str, number: int) -> int:
    """What a task of an array does, to its end; the exit code."""
    task = {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": str(number)}
    command = [sys.executable, "-P", "-m", "runner", "work", str(study.path)]
    return subprocess.run(command, env={**os.environ, **task}, check=False).returncode


def test_a_study_is_submitted_as_workers_and_listed_before_there_are_runs(
    study: SweepDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (study.path / "slurm" / "array.sbatch").read_text()
    assert "#SBATCH --array=0-1" in script
    assert f"-m runner work {study.path.resolve()}\n" in script.replace(" \\\n ", "")
    assert study.runs() == {}
    capsys.readouterr()
    assert main(["ls"]) == 0
    assert " created  0/3 runs" in (shown := capsys.readouterr().out)
    assert "41: 2 pending (Priority)" in shown


def test_a_study_between_two_trials_is_running_as_long_as_it_has_workers(
    study: SweepDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run = study.place(0, [])
    run.mkdir()
    Status(state="completed").write(run / "status.json")
    (run / "config.yaml").touch()
    for queue, state in (("41_0", "RUNNING", 0, "node1", ""), "running"), (None, "interrupted"):
        fake_slurm.queue(*([queue] if queue else []))
        capsys.readouterr()
        assert main(["ls"]) == 0
        assert f" {state}  1/3 runs" in capsys.readouterr().out


def test_what_slurm_refuses_leaves_no_sweep(project: Path, fake_slurm: FakeSlurm) -> None:
    fake_slurm.fail("sbatch", "sbatch: error: invalid partition specified: x\n")
    assert main(["train", "-m", "launcher=slurm", "sweeper=optuna", "launcher.partition=x", RATES]) == 2
    assert list(project.glob("outputs/*/*")) == []


def test_workers_of_several_processes_are_refused(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-m", "launcher=slurm", "sweeper=optuna", "launcher.nodes=2", RATES]) == 2
    assert "fix:      launcher.nodes=1 launcher.processes=1 device=ddp" in capsys.readouterr().err
    assert list(project.glob("outputs/*/*")) == []


def test_work_outside_a_job_is_refused(study: SweepDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["work", str(study.path)]) == 2
    assert f"fix:      runner resume {study.path} submits them" in capsys.readouterr().err


@pytest.mark.slow
def test_a_worker_trains_trials_until_the_study_is_complete(
    study: SweepDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert work(study, "41", 1) == 0
    runs = study.runs()
    assert list(runs) == [0, 1, 2]
    assert [Status.read(run.status_file).state for run in runs.values()] == ["completed"] * 3
    assert {job.name for job in newest(run.path for run in runs.values()).values()} == {"41_1"}
    fake_slurm.queue()
    assert main(["resume", str(study.path)]) == 0
    assert "nothing is left to submit" in capsys.readouterr().out
    assert work(study, "41", 0) == 0
    assert len(study.runs()) == 3


def left_by(study: SweepDirectory, *workers: int) -> None:
    """Trials that these workers have asked for, and not told of."""
    opened = Question.of(study, Trust(())).study(study)
    for worker in workers:
        opened.ask(worker)


@pytest.mark.slow
def test_a_worker_goes_on_with_its_own_trials_and_leaves_those_of_others(study: SweepDirectory) -> None:
    left_by(study, 0, 1)
    assert work(study, "41", 0) == 0
    assert list(study.runs()) == [0, 2]  # its own, and a new one; trial 1 is that of the other worker


def test_only_workers_that_are_not_in_the_queue_are_submitted_again(
    study: SweepDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_slurm.queue(("41_0", "RUNNING", 0, "n1", ""), ("41_1", "FAILED", 0, "n2", "NonZeroExitCode"))
    assert main(["resume", str(study.path)]) == 0
    assert "#SBATCH --array=1" in (study.path / "slurm" / "array.sbatch").read_text().splitlines()[6]
    shown = capsys.readouterr().out
    assert "3 of 3 trials are left, 1 worker in the queue\n" in shown
    assert "job      42, 1 worker" in shown
    names = [job["id"] for job in json.loads((study.path / "jobs.json").read_text())["jobs"]]
    assert names == ["41", "42"]


def test_unfinished_trials_of_workers_that_are_no_more_go_to_the_new_ones_in_turn() -> None:
    trials = {0: 0, 3: 5, 4: None, 6: 1, 7: 9}
    assert hand_over(trials, busy=[0], numbers=[1, 2]) == {3: 1, 4: 2, 7: 1}
