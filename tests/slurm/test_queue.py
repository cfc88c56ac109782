"""What Slurm says of jobs, and how it is told: one question for all runs."""

import json
from pathlib import Path

import pytest
from pretended import FakeSlurm, make_sweep

from runner.cli import main
from runner.launch.slurm.jobs import Job, Jobs
from runner.launch.slurm.queue import JobState, of_directories, states
from runner.runs.status import State, Status


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (JobState("7", "PENDING", "Priority"), "pending (Priority)"),
        (JobState("7", "PENDING"), "pending"),
        (JobState("7", "PENDING", "BeginTime", restarts=1), "pending (BeginTime), queued again 1 time"),
        (JobState("7", "PENDING", "PartitionConfig"), "pending (PartitionConfig: the partition has no such nodes)"),
        (JobState("7", "RUNNING", nodes="n[3-4]", restarts=2), "running on n[3-4], queued again 2 times"),
        (JobState("7", "OUT_OF_MEMORY", nodes="n3"), "out of memory"),
        (JobState("7", "NODE_FAIL"), "its node failed"),
        (JobState("7", "TIMEOUT"), "ended by its time limit"),
        (JobState("7", "LAUNCH_FAILED"), "launch_failed"),  # whatever Slurm may call it some day
    ],
)
def test_states_are_told_in_words(state: JobState, expected: str) -> None:
    assert state.told() == expected


@pytest.mark.parametrize(
    ("state", "is_over"),
    [("PENDING", False), ("RUNNING", False), ("COMPLETING", False), ("SUSPENDED", False), ("REQUEUED", False)]
    + [
        (over, True)
        for over in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "UNKNOWN")
    ],
)
def test_what_waits_or_runs_is_not_over(state: str, is_over: bool) -> None:
    assert JobState("7", state).is_over == is_over


def test_squeue_is_asked_once_for_all(fake_slurm: FakeSlurm) -> None:
    fake_slurm.queue(
        ("7", "RUNNING", 2, "n3", "None"), ("8_0", "PENDING", 0, "", "Resources"), ("8_1", "FAILED", 0, "n4", "")
    )
    assert states(["7", "8_0", "8_1"]) == {
        "7": JobState("7", "RUNNING", "", "n3", 2),
        "8_0": JobState("8_0", "PENDING", "Resources"),
        "8_1": JobState("8_1", "FAILED", "", "n4"),
    }
    (call,) = fake_slurm.calls()
    assert call[0] == "squeue"
    assert call[call.index("-j") + 1] == "7,8"


def test_an_array_that_is_named_as_a_whole_is_all_its_tasks(fake_slurm: FakeSlurm) -> None:
    fake_slurm.queue(("8_0", "RUNNING", 0, "n1", ""), ("8_1", "PENDING", 0, "", ""), ("9_0", "RUNNING", 0, "n2", ""))
    assert set(states(["8", "9_0"])) == {"8_0", "8_1", "9_0"}
    assert len(fake_slurm.calls()) == 1


def test_what_squeue_has_forgotten_the_accounts_know(fake_slurm: FakeSlurm) -> None:
    fake_slurm.queue(("8_0", "RUNNING", 0, "n1", ""))
    fake_slurm.answer(
        "sacct", "7|CANCELLED by 1000|None assigned\n8_0|RUNNING|n1\n8_1|OUT_OF_MEMORY|n4\n8_[2-9]|PENDING|\n"
    )
    assert states(["7", "8_0", "8_1"]) == {
        "7": JobState("7", "CANCELLED"),
        "8_0": JobState("8_0", "RUNNING", "", "n1"),
        "8_1": JobState("8_1", "OUT_OF_MEMORY", "", "n4"),
    }


def test_without_accounts_it_is_left_out(fake_slurm: FakeSlurm) -> None:
    fake_slurm.fail("sacct", "Slurm accounting storage is disabled\n")
    fake_slurm.queue(("8_0", "RUNNING", 0, "n1", ""))
    assert set(states(["7", "8_0"])) == {"8_0"}


def test_a_single_job_that_squeue_refuses_to_know_is_left_out(fake_slurm: FakeSlurm) -> None:
    fake_slurm.fail("squeue", "slurm_load_jobs error: Invalid job id specified\n")
    assert states(["7"]) == {}


def test_filters_of_the_user_do_not_hide_jobs(fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    (fake_slurm.folder / "bin" / "squeue").write_text('#!/bin/sh\nprintf "%-470s\\n" "7_$SQUEUE_STATES"\n')
    assert "RUNNING" not in str(states(["7_", "7"]))


# --- runner ls --------------------------------------------------------------------------------------------------------


def run_in(folder: Path, state: State, *jobs: Job) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: x\n")
    ended = "2026-11-24T10:30:00+00:00" if state in ("completed", "failed") else None
    Status(state=state, ended=ended).write(folder / "status.json")
    for job in jobs:
        Jobs.note(folder, {}, [], job)
    return folder


def test_runs_without_jobs_are_listed_without_asking_slurm(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run_in(project / "outputs/local", "interrupted")
    run_in(project / "outputs/done", "completed", Job("7", "2026-11-24T10:00:00+00:00"))
    assert main(["ls"]) == 0
    assert "job" not in capsys.readouterr().out
    assert fake_slurm.calls() == []


def test_runs_are_listed_with_what_the_queue_says_of_them(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run_in(
        project / "outputs/one",
        "interrupted",
        Job("6", "2026-11-24T09:00:00+00:00"),
        Job("7", "2026-11-24T10:00:00+00:00"),
    )
    sweep = make_sweep(project / "outputs/sweep", range(2))
    Jobs.note(sweep.path, {}, [], Job("8", "2026-11-24T10:00:00+00:00", {0: 0, 1: 1}))
    fake_slurm.queue(("7", "PENDING", 2, "", "BeginTime"), ("8_0", "RUNNING", 0, "n3", ""))
    assert main(["ls"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["outputs/one"].endswith("7 pending (BeginTime), queued again 2 times")
    assert lines["outputs/sweep"].endswith("8: 1 running, 1 not in the queue any more")
    assert len(fake_slurm.calls("squeue")) == 1
    main(["ls", "outputs/sweep"])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["outputs/sweep/runs/0000-seed-0"].endswith("8_0 running on n3")
    assert lines["outputs/sweep/runs/0001-seed-1"].endswith("8_1 not in the queue any more")
    main(["ls", "outputs/one", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["jobs"] == [
        {"name": "7", "state": "PENDING", "reason": "BeginTime", "nodes": "", "restarts": 2}
    ]


def test_a_failed_run_that_was_submitted_again_is_listed_with_its_job(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    # In the hour that comes twice a year, the later time of day is the earlier one.
    first, second = Job("7", "2026-11-24T12:00:00+02:00"), Job("8", "2026-11-24T11:40:00+01:00")
    run_in(project / "outputs/one", "failed", first, second)
    fake_slurm.queue(("8", "PENDING", 0, "", "Priority"))
    assert main(["ls"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("8 pending (Priority)")


def test_where_slurm_does_not_answer_the_runs_are_listed_all_the_same(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run_in(project / "outputs/one", "running", Job("7", "2026-11-24T10:00:00+00:00"))
    fake_slurm.fail("squeue", "Unable to contact slurm controller")
    assert main(["ls"]) == 0
    assert "7 Slurm does not answer here" in capsys.readouterr().out


# --- runner cancel ----------------------------------------------------------------------------------------------------


def test_the_job_of_a_run_is_cancelled_and_that_is_remembered(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(project / "outputs/one", "created", Job("7", "2026-11-24T10:00:00+00:00"))
    fake_slurm.queue(("7", "PENDING", 0, "", "Priority"))
    assert main(["cancel", str(run)]) == 0
    assert fake_slurm.calls("scancel") == [["scancel", "7"]]
    assert "cancelled job 7, which was pending (Priority)" in capsys.readouterr().out
    fake_slurm.queue()
    assert of_directories({run: Status()})[0] == {run: JobState("7", "CANCELLED")}


def test_all_jobs_of_a_sweep_are_cancelled_those_of_single_runs_too(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = make_sweep(project / "outputs/sweep", range(3))
    Jobs.note(sweep.path, {}, [], Job("8", "2026-11-24T10:00:00+00:00", {0: 0, 1: 1, 2: 2}))
    Jobs.note(sweep.runs()[1].path, {}, [], Job("9", "2026-11-24T11:00:00+00:00"))
    fake_slurm.queue(
        ("8_0", "RUNNING", 0, "n1", ""),
        ("8_1", "FAILED", 0, "n1", ""),
        ("8_2", "PENDING", 0, "", ""),
        ("9", "RUNNING", 0, "n2", ""),
    )
    assert main(["cancel", str(sweep.path)]) == 0
    assert fake_slurm.calls("scancel") == [["scancel", "8", "9"]]
    assert f"cancelled 3 jobs of {sweep.path}: 2 running, 1 waiting" in capsys.readouterr().out


def test_of_a_sweep_one_task_is_cancelled(project: Path, fake_slurm: FakeSlurm) -> None:
    sweep = make_sweep(project / "outputs/sweep", range(3))
    Jobs.note(sweep.path, {}, [], Job("8", "2026-11-24T10:00:00+00:00", {0: 0, 1: 1, 2: 2}))
    fake_slurm.queue(*((f"8_{task}", "RUNNING", 0, "n1", "") for task in range(3)))
    runs = {number: run.path for number, run in sweep.runs().items()}
    assert main(["cancel", str(runs[1])]) == 0
    assert fake_slurm.calls("scancel") == [["scancel", "8_1"]]
    fake_slurm.queue()
    told, _ = of_directories(dict.fromkeys(runs.values(), Status(state="interrupted")))
    assert [told[run].state for run in runs.values()] == ["UNKNOWN", "CANCELLED", "UNKNOWN"]


def test_where_there_is_nothing_to_cancel_that_is_said(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(project / "outputs/one", "completed")
    assert main(["cancel", str(run)]) == 0
    assert f"no job of {run} is in the queue" in capsys.readouterr().out
    assert fake_slurm.calls() == []
