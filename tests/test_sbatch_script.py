"""scripts/train.sbatch: one run as one Slurm job, told with stand-ins for srun, scontrol and runner."""

import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "train.sbatch"

STAND_INS = {
    "srun": 'exec "$@"',
    "runner": 'echo "runner $*" >> calls; exit "$RUN_ENDS_WITH"',
    "scontrol": 'echo "scontrol $*" >> calls; exit "${SCONTROL_ENDS_WITH:-0}"',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder to submit from, with the stand-ins where the project's programs are: in ``.venv/bin``."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, body in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    return tmp_path


def start_job(project: Path, *overrides: str, **env: str) -> tuple[int, list[str]]:
    """Run the script as Slurm does for job 42; its exit code, and what it called."""
    slurm = {"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "42", "SLURM_CPUS_PER_TASK": "4", "RUN_ENDS_WITH": "0"}
    job = subprocess.run(["bash", SCRIPT, *overrides], cwd=project, env=slurm | env, timeout=30, capture_output=True)
    return job.returncode, (project / "calls").read_text().splitlines()


def test_first_start_trains_what_was_typed_in_the_run_directory_of_the_job(project: Path) -> None:
    code, calls = start_job(project, "model=unet", "optimizer=adam")
    assert calls == ["runner train model=unet optimizer=adam run_dir=outputs/slurm-42"]
    assert code == 0


def test_requeued_job_resumes_its_own_run(project: Path) -> None:
    (project / "outputs" / "slurm-42").mkdir(parents=True)
    code, calls = start_job(project, "model=unet", SLURM_RESTART_COUNT="1")
    assert calls == ["runner resume outputs/slurm-42"]
    assert code == 0


def test_job_requeued_before_its_run_existed_trains_from_the_start(project: Path) -> None:
    _, calls = start_job(project, "model=unet", SLURM_RESTART_COUNT="1")
    assert calls == ["runner train model=unet run_dir=outputs/slurm-42"]


def test_new_job_does_not_take_over_an_old_run_with_its_number(project: Path) -> None:
    (project / "outputs" / "slurm-42").mkdir(parents=True)
    _, calls = start_job(project, "model=unet")
    assert calls == ["runner train model=unet run_dir=outputs/slurm-42"]  # which refuses a directory that exists


def test_run_stopped_with_a_checkpoint_queues_the_job_again(project: Path) -> None:
    code, calls = start_job(project, RUN_ENDS_WITH="75")
    assert calls[1:] == ["scontrol requeue 42"]
    assert code == 75


def test_job_that_cannot_be_queued_again_still_tells_how_its_run_ended(project: Path) -> None:
    code, _ = start_job(project, RUN_ENDS_WITH="75", SCONTROL_ENDS_WITH="1")
    assert code == 75


@pytest.mark.parametrize("run_ends_with", ["1", "2", "130"])
def test_run_that_failed_ends_the_job_with_its_exit_code(project: Path, run_ends_with: str) -> None:
    code, calls = start_job(project, RUN_ENDS_WITH=run_ends_with)
    assert len(calls) == 1
    assert code == int(run_ends_with)


def test_arguments_reach_the_run_as_they_were_quoted(project: Path) -> None:
    (project / ".venv" / "bin" / "runner").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > calls\n')
    _, calls = start_job(project, "name=two words", "data.mean=[0.1, 0.2]")
    assert calls == ["train", "name=two words", "data.mean=[0.1, 0.2]", "run_dir=outputs/slurm-42"]


def test_the_log_needs_no_folder_that_somebody_has_to_make() -> None:
    (log,) = re.findall(r"^#SBATCH --output=(\S+)", SCRIPT.read_text(), re.M)
    assert "/" not in log
    assert "%j" in log
