"""The script of a job: what it asks for, and what it does, run by bash with stand-ins for Slurm's commands."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretended import FakeSlurm

from runner.config.sections.launching import SlurmLauncher
from runner.launch.slurm.script import Script, spans
from runner.launch.slurm.task import Task
from runner.runs.directory import RunDirectory
from runner.runs.status import Status

SETTINGS = SlurmLauncher.model_validate(
    {
        "_target_": "hydra_plugins.runner_plugins.slurm_launcher.SlurmLauncher",
        "partition": "gpu",
        "account": None,
        "qos": None,
        "nodes": 1,
        "processes": 1,
        "gpus": "2",
        "cpus": 3,
        "memory": "8G",
        "time": "02:00:00",
        "constraint": None,
        "max_parallel": None,
        "setup": [],
        "sbatch": ["--reservation=lab"],
        "warning": 90,
        "requeues": 5,
        "snapshot_code": False,
        "wait": False,
    }
)


def script(
    folder: Path, runs: Path | Mapping[int, Path] | None, command: tuple[str, ...] = ("resume",), **settings: Any
) -> Script:
    return Script(
        SETTINGS.model_copy(update=settings),
        "mlp-digits",
        Task(folder, command),
        folder / "job.sbatch",
        f"{folder}/%j.log",
        runs=runs,
        tasks=range(4) if runs is None else (),
    )


def directives(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]


@pytest.fixture
def run(project: Path) -> RunDirectory:
    """A run directory, as far as a job looks at it."""
    path = project / "outputs" / "a run"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("name: mlp-digits\n")
    Status().write(path / "status.json")
    return RunDirectory(path)


Start = Callable[..., tuple[int, str]]


@pytest.fixture
def start(project: Path, fake_slurm: FakeSlurm) -> Start:
    """Runs a script as Slurm does for job 12, with a stand-in for srun; the exit code, and what it printed."""

    def start_job(one: Script, srun: str, **env: str) -> tuple[int, str]:
        program = fake_slurm.folder / "bin" / "srun"
        program.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" > {shlex.quote(str(project))}/words\n{srun}\n')
        one.file.write_text(one.text())
        fake_slurm.answer("squeue", "RUNNING|None\n")
        variables = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "12", **env}
        job = subprocess.run(
            ["bash", one.file], cwd=project, env=variables, timeout=60, capture_output=True, text=True, check=False
        )
        return job.returncode, job.stdout + job.stderr

    return start_job


def started(project: Path) -> list[str]:
    return (project / "words").read_text().splitlines()


# --- what it asks for -------------------------------------------------------------------------------------------------


def test_every_setting_is_a_line_that_sbatch_reads(project: Path) -> None:
    assert directives(script(project, project / "run").text()) == [
        "--job-name=mlp-digits",
        f"--chdir={project}",
        f"--output={project}/%j.log",
        "--open-mode=append",
        "--partition=gpu",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--gres=gpu:2",
        "--cpus-per-task=3",
        "--mem=8G",
        "--time=02:00:00",
        "--signal=USR1@90",
        "--requeue",
        "--reservation=lab",
    ]


def test_directives_come_before_everything_else(project: Path) -> None:
    lines = script(project, project / "run", setup=["module load x"]).text().splitlines()
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])


def test_a_job_that_shall_not_be_queued_again_is_not_by_slurm_either(project: Path) -> None:
    assert "--no-requeue" in directives(script(project, project / "run", requeues=0).text())


def test_the_tasks_of_an_array_are_those_that_have_a_run(project: Path) -> None:
    runs = {number: project / str(number) for number in (7, 0, 1, 2)}
    assert "--array=0-2,7%2" in directives(script(project, runs, max_parallel=2).text())
    assert "--array=0-3" in directives(script(project, None, ("worker", "SWEEP")).text())


@given(st.sets(st.integers(0, 2000), min_size=1))
def test_spans_stand_for_exactly_the_numbers(numbers: set[int]) -> None:
    written = spans(sorted(numbers))
    read: list[int] = []
    for part in written.split(","):
        first, _, last = part.partition("-")
        read += range(int(first), int(last or first) + 1)
    assert read == sorted(numbers)


@pytest.mark.parametrize("kind", ["single", "array", "workers", "several"])
def test_the_script_is_one_that_bash_can_read(project: Path, kind: str) -> None:
    runs = {"single": project / "it's $HOME", "array": {0: project / "a b", 5: project / "c"}, "workers": None}
    nodes = 2 if kind == "several" else 1
    one = script(project, runs.get(kind, project / "run"), nodes=nodes, setup=["module load cuda/11.1"])
    assert subprocess.run(["bash", "-n"], input=one.text(), text=True, check=False).returncode == 0


# --- what it does -----------------------------------------------------------------------------------------------------


def test_it_executes_the_run_directory_with_the_python_that_submitted_it(
    run: RunDirectory, project: Path, start: Start
) -> None:
    code, _ = start(script(project, run.path, ("resume", "--trust=my package")), "exit 0")
    assert started(project) == [sys.executable, "-P", "-m", "runner", "resume", "--trust=my package", str(run.path)]
    assert code == 0


def test_each_task_of_an_array_executes_its_own_run_and_prints_into_it(
    run: RunDirectory, project: Path, start: Start
) -> None:
    one = script(project, {0: project / "other", 7: run.path})
    code, printed = start(one, "echo hello", SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="7")
    assert (code, printed) == (0, "")
    assert started(project)[-1] == str(run.path)
    assert run.output_file.read_text() == "hello\n"


def test_a_worker_is_started_with_the_words_given(project: Path, start: Start) -> None:
    start(script(project, None, ("worker", "the sweep")), "exit 0")
    assert started(project) == [sys.executable, "-P", "-m", "runner", "worker", "the sweep"]


def test_lines_of_the_setup_come_first_and_are_seen_by_the_run(run: RunDirectory, project: Path, start: Start) -> None:
    one = script(project, run.path, setup=["export FLAVOUR=vanilla", "cd /"])
    assert start(one, 'echo "$FLAVOUR in $PWD with $SRUN_CPUS_PER_TASK"') == (0, "vanilla in / with 3\n")


def test_code_that_was_copied_is_found_before_what_is_installed(run: RunDirectory, project: Path, start: Start) -> None:
    one = script(project, run.path)
    one = replace(one, task=replace(one.task, first=(project / "code",)))
    assert start(one, 'echo "$PYTHONPATH"', PYTHONPATH="/mine") == (0, f"{project}/code:/mine\n")


def test_of_processes_that_train_together_one_that_ends_does_not_end_the_others(
    run: RunDirectory, project: Path, start: Start
) -> None:
    """Told to stop, one may be done before another has saved."""
    assert start(script(project, run.path, nodes=2), 'echo "$1"') == (0, "--kill-on-bad-exit=0\n")


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "12"),
        # The last task of an array has the number of the array: queued again by that, all tasks would be.
        ({"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "9"}, "12_9"),
    ],
    ids=["job", "last task of an array"],
)
def test_a_run_that_was_told_to_stop_is_queued_again(
    run: RunDirectory, project: Path, start: Start, fake_slurm: FakeSlurm, variables: dict[str, str], name: str
) -> None:
    code, printed = start(script(project, run.path), "exit 75", **variables)
    assert fake_slurm.calls("scontrol") == [["scontrol", "requeue", name]]
    assert f"queueing job {name} again, 1 of 5 times" in printed
    assert code == 75


def test_that_is_told_although_slurm_ends_the_job_as_soon_as_it_is_asked(
    run: RunDirectory, project: Path, start: Start, fake_slurm: FakeSlurm
) -> None:
    Path(shutil.which("scontrol") or "").write_text("#!/bin/sh\nkill -KILL $PPID\n")
    _, printed = start(script(project, run.path), "exit 75")
    assert "queueing job 12 again, 1 of 5 times" in printed


def test_so_is_a_worker(project: Path, start: Start, fake_slurm: FakeSlurm) -> None:
    variables = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "1"}
    assert start(script(project, None, ("worker",)), "exit 75", **variables)[0] == 75
    assert fake_slurm.calls("scontrol") == [["scontrol", "requeue", "12_1"]]


def test_only_so_often_as_the_settings_say(
    run: RunDirectory, project: Path, start: Start, fake_slurm: FakeSlurm
) -> None:
    start(script(project, run.path), "exit 75", SLURM_RESTART_COUNT="4")
    assert len(fake_slurm.calls("scontrol")) == 1
    _, printed = start(script(project, run.path), "exit 75", SLURM_RESTART_COUNT="5")
    assert len(fake_slurm.calls("scontrol")) == 1
    assert f"to go on: runner submit '{run.path}'" in printed, "its name has a space"


@pytest.mark.parametrize(
    ("state", "is_queued_again"),
    [
        ("RUNNING|None", True),
        ("COMPLETING|TimeLimit", True),  # the warning came too late
        ("COMPLETING|None", False),  # cancelled: Slurm would take it back all the same
        ("CANCELLED|None", False),
        ("", False),  # Slurm does not say
    ],
)
def test_a_job_that_was_cancelled_is_not_queued_again(
    run: RunDirectory, project: Path, start: Start, fake_slurm: FakeSlurm, state: str, is_queued_again: bool
) -> None:
    change = f"printf {shlex.quote(state)} > {shlex.quote(str(fake_slurm.folder / 'squeue'))}"
    code, _ = start(script(project, run.path), f"{change}; exit 75")
    assert (fake_slurm.calls("scontrol") == [["scontrol", "requeue", "12"]]) == is_queued_again
    assert code == 75


def test_what_slurm_refuses_to_queue_again_is_told_with_its_words(
    run: RunDirectory, project: Path, start: Start, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.fail("scontrol", "Requested operation is presently disabled")
    code, printed = start(script(project, run.path), "exit 75")
    assert "not queued again: Requested operation is presently disabled; to go on: runner submit" in printed
    assert code == 75


def test_a_process_that_is_killed_leaves_a_failed_run_with_the_reason(
    run: RunDirectory, project: Path, start: Start
) -> None:
    code, _ = start(script(project, run.path), "exit 137")
    status = Status.read(run.status_file)
    assert (code, status.state) == (137, "failed")
    assert (status.error or "").startswith("was killed by SIGKILL")


@pytest.mark.parametrize(
    "said",
    [
        "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed.",
        "srun: error: node3: task 0: Out Of Memory",
    ],
)
def test_one_that_was_killed_for_its_memory_says_so(run: RunDirectory, project: Path, start: Start, said: str) -> None:
    one = script(project, {0: run.path})
    variables = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "0", "SLURM_MEM_PER_NODE": "8192"}
    code, _ = start(one, f"echo '{said}' >&2; exit 137", **variables)
    status = Status.read(run.status_file)
    assert code == 137
    assert "it took more than the 8192 MB of memory that the job had: launcher.memory" in (status.error or "")


def test_a_setup_that_fails_fails_the_run_and_starts_nothing(run: RunDirectory, project: Path, start: Start) -> None:
    one = script(project, {0: run.path}, setup=["echo 'no module cuda/99' >&2; false", "echo never"])
    code, _ = start(one, "exit 0", SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="0")
    status = Status.read(run.status_file)
    assert (code, status.state) == (1, "failed")
    assert "no module cuda/99" in (status.error or "")
    assert "never" not in run.output_file.read_text()
    assert not (project / "words").exists()


def test_a_run_that_said_itself_why_it_failed_keeps_its_words(run: RunDirectory, project: Path, start: Start) -> None:
    failed = json.dumps({**json.loads(run.status_file.read_text()), "state": "failed", "error": "no such file"})
    code, _ = start(
        script(project, run.path), f"echo {shlex.quote(failed)} > {shlex.quote(str(run.status_file))}; exit 1"
    )
    assert code == 1
    assert Status.read(run.status_file).error == "no such file"


def test_a_signal_to_the_script_waits_for_the_run_which_gets_it_too(
    run: RunDirectory, project: Path, start: Start, fake_slurm: FakeSlurm
) -> None:
    code, printed = start(script(project, run.path), "kill -TERM $PPID; sleep 0.3; echo saved; exit 75")
    assert "saved" in printed
    assert fake_slurm.calls("scontrol") == [["scontrol", "requeue", "12"]]
    assert code == 75


@pytest.mark.parametrize(
    ("state", "ended_with", "code", "is_queued_again"),
    [
        ("completed", 143, 0, False),  # a signal that came when all was done
        ("completed", 139, 0, False),  # a crash of the interpreter when it left
        ("interrupted", 143, 75, True),  # a second signal, after the run had saved
        ("interrupted", 137, 137, False),
        ("failed", 143, 143, False),
    ],
)
def test_what_ends_a_process_that_is_done_does_not_change_how_the_run_ended(
    run: RunDirectory,
    project: Path,
    start: Start,
    fake_slurm: FakeSlurm,
    state: str,
    ended_with: int,
    code: int,
    is_queued_again: bool,
) -> None:
    status = json.dumps({**json.loads(run.status_file.read_text()), "state": state})
    ending = f"echo {shlex.quote(status)} > {shlex.quote(str(run.status_file))}; exit {ended_with}"
    assert start(script(project, run.path), ending)[0] == code
    assert bool(fake_slurm.calls("scontrol")) == is_queued_again
    assert Status.read(run.status_file).state == state
