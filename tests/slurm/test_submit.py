"""Submitting runs and sweeps, with a pretended Slurm."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from pretended import FakeSlurm, make_sweep

from runner.cli import main
from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError
from runner.launch.slurm import submit
from runner.launch.slurm.client import SlurmError, call
from runner.launch.slurm.jobs import Jobs, newest
from runner.launch.slurm.submit import left, submit_sweep, submit_workers
from runner.launch.slurm.sweep import launch, resume
from runner.launch.slurm.task import Task
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock
from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory
from runner.trust import Trust


def runs_below(project: Path) -> list[Path]:
    return sorted(file.parent for file in project.glob("outputs/**/config.yaml"))


def script_lines(run: Path) -> list[str]:
    return (run / "job.sbatch").read_text().splitlines()


# --- one run ----------------------------------------------------------------------------------------------------------


def test_a_run_is_frozen_submitted_and_noted(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_slurm.queue(("41", "PENDING", 0, "", "Priority"))
    assert main(["submit", "epochs=3", "launcher.partition=gpu", "launcher.cpus=6"]) == 0
    (run,) = runs_below(project)
    assert fake_slurm.calls("sbatch")[-1] == ["sbatch", "--parsable", str(run / "job.sbatch")]
    assert "#SBATCH --partition=gpu" in script_lines(run)
    config = RunDirectory(run).config()
    assert (config["epochs"], config["device"]["threads"]) == (3, 6)  # the same figures wherever the job goes on
    assert yaml.safe_load((run / "overrides.yaml").read_text())["typed"] == ["epochs=3"]
    assert newest([run])[run].name == "41"
    shown = capsys.readouterr().out
    assert "job      41, pending (Priority)\n" in shown
    assert f"run      {run.relative_to(project)}\n" in shown
    assert Status.read(run / "status.json").state == "created"


@pytest.mark.parametrize(
    ("typed", "threads"),
    [
        (("device=ddp", "device.kind=cpu", "device.processes=3"), 2),
        (("device=ddp", "launcher.gpus=a100:4"), 2),
        (("device=ddp", "launcher.processes=4", "launcher.gpus=4"), 8),  # which Slurm starts, with so many for each
        (("launcher.gpus=4",), 8),
    ],
)
def test_processes_that_a_task_starts_itself_share_its_processors(
    project: Path, fake_slurm: FakeSlurm, typed: tuple[str, ...], threads: int
) -> None:
    assert main(["submit", *typed, "launcher.cpus=8"]) == 0
    assert main(["train", "-m", "launcher=slurm", "seed=0", *typed, "launcher.cpus=8"]) == 0
    frozen = [RunDirectory(run).config()["device"]["threads"] for run in runs_below(project)]
    assert frozen == [threads, threads]


def test_submitting_imports_no_torch_and_asks_for_no_device(project: Path, fake_slurm: FakeSlurm) -> None:
    code = "import sys, runner.cli; runner.cli.main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "submit", "device=cuda", "launcher.gpus=1"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(runs_below(project)) == 1


def test_a_gpu_that_nobody_asks_for_is_remarked(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["submit", "device=cuda"])
    assert "the job asks for no GPU: launcher.gpus=1" in capsys.readouterr().out
    main(["submit", "device=cuda", 'launcher.sbatch=["--gpus-per-node=1"]'])
    assert "asks for no GPU" not in capsys.readouterr().out


def test_a_dry_run_prints_the_script_and_writes_nothing(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "run_dir=outputs/one", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert list(project.iterdir()) == []
    assert fake_slurm.calls() == []
    main(["submit", "run_dir=outputs/one"])
    assert (project / "outputs/one/job.sbatch").read_text() == shown


def test_what_slurm_refuses_is_told_in_its_words_with_the_setting_and_leaves_nothing(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_slurm.answer("sinfo", "gpu\nlong\n")
    fake_slurm.fail(
        "sbatch",
        "sbatch: error: invalid partition specified: gpuu\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
    )
    assert main(["submit", "launcher.partition=gpuu"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Slurm refuses the job: invalid partition specified: gpuu; Invalid partition name specified",
        "  where:    launcher.partition=gpuu",
        "  expected: one of gpu, long",
        "  nearest:  gpu",
    ]
    assert runs_below(project) == []


def test_without_slurm_nothing_is_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(project / "nothing"))
    assert main(["submit"]) == 2
    assert "sbatch was not found: this machine has no Slurm" in capsys.readouterr().err
    assert list(project.iterdir()) == []


def test_mistakes_in_the_run_and_in_the_settings_are_refused_alike(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("epochs=ten", "launcher.time=60", "-m", "sweeper.seeds=3", "--cfg=job"):
        assert main(["submit", wrong]) == 2
    assert fake_slurm.calls() == []
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        (["launcher.nodes=2"], "device=ddp, or launcher.nodes=1 launcher.processes=1"),
        (["launcher.nodes=2", "launcher.processes=2", "device=ddp", "device.processes=2"], "device.processes=auto"),
    ],
    ids=["without ddp", "another number"],
)
@pytest.mark.parametrize("command", [["submit"], ["train", "-m", "launcher=slurm", "seed=0,1"]], ids=["run", "sweep"])
def test_processes_that_do_not_train_together_are_refused(
    project: Path,
    fake_slurm: FakeSlurm,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    typed: list[str],
    fix: str,
) -> None:
    assert main([*command, *typed]) == 2
    assert f"  fix:      {fix}\n" in capsys.readouterr().err
    assert list(project.iterdir()) == []


def test_packages_that_the_configuration_names_are_trusted_in_the_job(project: Path, fake_slurm: FakeSlurm) -> None:
    (project / "mine.py").write_text("from torch import nn\nclass Net(nn.Linear): pass\n")
    (project / "conf/model").mkdir(parents=True)
    (project / "conf/model/mine.yaml").write_text("_target_: mine.Net\nin_features: 64\nout_features: 10\n")
    (project / "conf/loss").mkdir()
    (project / "conf/loss/other.yaml").write_text("_target_: hypothesis.settings\n")
    main(["submit", "model=mine", "loss=other"])
    (run,) = runs_below(project)
    (line,) = [line for line in script_lines(run) if line.startswith("srun")]
    assert "--trust=hypothesis" in line  # a package
    assert "--trust=mine" not in line  # the user's own, in the current folder of the job


# --- a run that is there already --------------------------------------------------------------------------------------


@pytest.fixture
def submitted(project: Path, fake_slurm: FakeSlurm) -> RunDirectory:
    """A run whose job, 41, is over, and which was stopped."""
    assert main(["submit", "run_dir=outputs/one", "launcher.time=01:00:00", "launcher.memory=2G"]) == 0
    run = RunDirectory(project / "outputs/one")
    Status(state="interrupted").write(run.status_file)
    return run


def test_a_run_that_was_stopped_goes_on_as_another_job_like_the_one_before(
    submitted: RunDirectory, fake_slurm: FakeSlurm
) -> None:
    assert main(["submit", str(submitted.path), "launcher.memory=4G"]) == 0
    lines = script_lines(submitted.path)
    assert "#SBATCH --mem=4G" in lines
    assert "#SBATCH --time=01:00:00" in lines
    assert newest([submitted.path])[submitted.path].name == "42"


def test_a_dry_run_of_it_changes_nothing(
    submitted: RunDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (submitted.path / "job.sbatch").read_text()
    capsys.readouterr()
    assert main(["submit", str(submitted.path), "epochs=77", "launcher.time=01:00:01", "--dry-run"]) == 0
    assert capsys.readouterr().out == before.replace("01:00:00", "01:00:01")
    assert (submitted.path / "job.sbatch").read_text() == before
    assert submitted.config()["epochs"] != 77
    assert len(fake_slurm.calls("sbatch")) == 2  # the version, and the run of the fixture


def test_a_sweep_is_not_one_run(
    sweep: SweepDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", str(sweep.path)]) == 2
    assert f"fix:      runner resume {sweep.path}" in capsys.readouterr().err


def test_it_may_go_on_for_longer(submitted: RunDirectory, fake_slurm: FakeSlurm) -> None:
    assert main(["submit", str(submitted.path), "epochs=77"]) == 0
    assert submitted.config()["epochs"] == 77
    assert main(["submit", str(submitted.path), "optimizer.lr=1"]) == 2


def test_one_that_waits_in_the_queue_is_not_submitted_again(
    submitted: RunDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_slurm.queue(("41", "PENDING", 2, "", "Resources"))
    before = submitted.config()
    assert main(["submit", str(submitted.path), "epochs=77"]) == 2
    assert "in the queue already: job 41 is pending (Resources), queued again 2 times" in capsys.readouterr().err
    assert submitted.config() == before  # which the job that waits is going to train


def test_what_slurm_refuses_changes_nothing(submitted: RunDirectory, fake_slurm: FakeSlurm) -> None:
    before = submitted.config(), submitted.overrides()
    fake_slurm.fail("sbatch", "sbatch: error: invalid partition specified: nope\n")
    assert main(["submit", str(submitted.path), "epochs=77", "launcher.partition=nope"]) == 2
    assert (submitted.config(), submitted.overrides()) == before


def test_one_that_is_being_executed_is_not_submitted(
    submitted: RunDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunLock(submitted.path):
        assert main(["submit", str(submitted.path)]) == 2
    assert "is being executed by another process" in capsys.readouterr().err
    assert newest([submitted.path])[submitted.path].name == "41"


def test_one_that_is_complete_is_not_submitted_again(
    submitted: RunDirectory, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    Status(state="completed").write(submitted.status_file)
    assert main(["submit", str(submitted.path)]) == 2
    fix = f"runner submit {submitted.path} epochs=N for more"
    assert f"nothing is left to train\n  fix:      {fix}" in capsys.readouterr().err


def test_a_run_that_was_trained_here_can_go_on_there(
    new_run: Callable[..., RunDirectory], fake_slurm: FakeSlurm
) -> None:
    run = new_run("epochs=2")
    assert main(["submit", str(run.path), "launcher.time=02:00:00"]) == 0
    assert "#SBATCH --time=02:00:00" in script_lines(run.path)


def test_lines_of_shell_in_a_directory_are_not_run_because_they_are_there(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["submit", "run_dir=outputs/one", 'launcher.setup=["module load x"]', "launcher.snapshot_code=true"])
    again = ["submit", "outputs/one"]
    assert main(again) == 2
    shown = capsys.readouterr().err
    assert f"launcher.setup: module load x, code: {project}/outputs/one/code" in shown
    assert "--trust outputs/one" in shown
    assert main([*again, "--trust", "outputs/one"]) == 0
    text = (project / "outputs/one/job.sbatch").read_text()
    assert "\nmodule load x\n" in text
    assert f"--code={project}/outputs/one/code" in text
    # What is typed counts, whatever stands in the directory.
    assert main([*again, 'launcher.setup=["module load y"]', "--code", "outputs/one/code"]) == 0
    text = (project / "outputs/one/job.sbatch").read_text()
    assert "\nmodule load y\n" in text
    assert "module load x" not in text


def test_lines_that_stand_in_a_launcher_of_the_user_are_the_user_s(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "conf/hydra/launcher").mkdir(parents=True)
    own = project / "conf/hydra/launcher/mine.yaml"
    own.write_text("defaults: [slurm]\nsetup: [module load x]\n")
    main(["submit", "run_dir=outputs/one", "launcher=mine"])
    assert main(["submit", "outputs/one"]) == 0
    assert "\nmodule load x\n" in (project / "outputs/one/job.sbatch").read_text()
    own.write_text("defaults: [slurm]\nsetup: [module load y]\n")
    assert main(["submit", "outputs/one"]) == 2


def test_standing_in_a_directory_is_not_trusting_it(
    project: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["submit", "run_dir=outputs/one", 'launcher.setup=["module load x"]'])
    monkeypatch.chdir("outputs/one")
    assert main(["submit", "."]) == 2


# --- a sweep ----------------------------------------------------------------------------------------------------------


Settings = Callable[..., SlurmLauncher]
TASK = Task(Path("/home/me/project"), ("resume",))


def array_of(file: Path) -> str:
    (line,) = [line for line in file.read_text().splitlines() if line.startswith("#SBATCH --array=")]
    return line.removeprefix("#SBATCH --array=")


def test_the_runs_of_a_sweep_are_the_tasks_of_one_array(
    sweep: SweepDirectory, fake_slurm: FakeSlurm, settings: Settings
) -> None:
    (job,) = submit_sweep(sweep, settings("launcher.max_parallel=2"), TASK, range(5))
    script = sweep.path / "slurm" / "array.sbatch"
    assert fake_slurm.calls("sbatch") == [["sbatch", "--parsable", str(script)]]
    assert array_of(script) == "0-4%2"
    assert f"  [3]={sweep.path}/runs/0003-seed-3" in script.read_text().splitlines()
    assert {path.name: one.name for path, one in newest(run.path for run in sweep.runs().values()).items()} == {
        f"000{number}-seed-{number}": f"{job.id}_{number}" for number in range(5)
    }


def test_only_what_is_neither_over_nor_in_the_queue_is_left(
    sweep: SweepDirectory, fake_slurm: FakeSlurm, settings: Settings
) -> None:
    list(submit_sweep(sweep, settings(), TASK, range(5)))
    for number, state in enumerate(("completed", "failed", "interrupted", "running", "created")):
        Status(state=state).write(sweep.runs()[number].status_file)
    fake_slurm.queue(
        ("41_3", "RUNNING", 0, "n1", ""), ("41_4", "PENDING", 0, "", "Priority"), ("41_2", "TIMEOUT", 0, "n1", "")
    )
    assert left(sweep) == [1, 2]
    list(submit_sweep(sweep, settings(), TASK, left(sweep)))
    assert array_of(sweep.path / "slurm" / "array.sbatch") == "1-2"
    names = {path.name[:4]: job.name for path, job in newest(run.path for run in sweep.runs().values()).items()}
    assert names == {"0000": "41_0", "0001": "42_1", "0002": "42_2", "0003": "41_3", "0004": "41_4"}


def test_more_runs_than_an_array_can_have_become_several(
    project: Path, fake_slurm: FakeSlurm, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "_USUAL_MOST", 4)
    fake_slurm.answer("scontrol", "KillWait = 30 sec\nMaxArraySize            = 4\nMaxJobCount = 10000\n")
    sweep = make_sweep(project / "big", range(10))
    jobs = list(submit_sweep(sweep, settings("launcher.max_parallel=6"), TASK, range(10)))
    files = [sweep.path / "slurm" / name for name in ("array.sbatch", "array-2.sbatch", "array-3.sbatch")]
    assert [array_of(file) for file in files] == ["0-3%2", "0-3%2", "0-1%2"]  # 6 at a time, all together
    assert [job.tasks for job in jobs] == [{0: 0, 1: 1, 2: 2, 3: 3}, {0: 4, 1: 5, 2: 6, 3: 7}, {0: 8, 1: 9}]
    assert f"  [1]={sweep.path}/runs/0009-seed-9" in files[2].read_text().splitlines()


def test_of_several_arrays_those_that_slurm_took_are_told_before_what_it_refused(
    project: Path,
    fake_slurm: FakeSlurm,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(submit, "_USUAL_MOST", 4)
    fake_slurm.answer("scontrol", "MaxArraySize = 4\n")
    sweep = make_sweep(project / "big", range(10))

    def full_after_one(command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
        if command[0] == "sbatch" and Jobs.of(sweep.path) is not None:
            raise SlurmError("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy")
        return call(command, variables)

    monkeypatch.setattr(submit, "call", full_after_one)
    with pytest.raises(UserError, match="violates accounting"):
        launch(sweep, settings(), Trust(()), range(10))
    job, rest = capsys.readouterr().out.splitlines()
    assert job.startswith("job      41, 4 runs, ")
    assert rest == f"submitted 4 of 10 runs, and no more; later on, the rest: runner resume {sweep.path}"


def test_one_run_with_a_high_number_is_submitted_under_a_number_that_an_array_can_have(
    project: Path, fake_slurm: FakeSlurm, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "_USUAL_MOST", 4)
    fake_slurm.answer("scontrol", "MaxArraySize = 4\n")
    sweep = make_sweep(project / "big", range(10))
    (job,) = submit_sweep(sweep, settings(), TASK, [9])
    assert (job.tasks, array_of(sweep.path / "slurm" / "array.sbatch")) == ({0: 9}, "0")


def test_workers_are_tasks_that_find_their_runs_themselves(
    sweep: SweepDirectory, fake_slurm: FakeSlurm, settings: Settings
) -> None:
    task = Task(Path("/home/me/project"), ("worker", str(sweep.path)))
    submit_workers(sweep, settings(), task, range(8))
    script = sweep.path / "slurm" / "array.sbatch"
    assert array_of(script) == "0-7"
    words = script.read_text().replace("\\\n", " ").split()  # a command may go over several lines
    assert f"-m runner worker {sweep.path}" in " ".join(words)
    jobs = Jobs.of(sweep.path)
    assert jobs is not None
    assert [(job.id, job.tasks) for job in jobs.submissions] == [("41", {})]


def test_a_sweep_is_submitted_and_what_is_missing_again(
    sweep: SweepDirectory, fake_slurm: FakeSlurm, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    own = settings("launcher.time=01:00:00")
    fake_slurm.queue(("41_0", "PENDING", 0, "", "Priority"))
    assert launch(sweep, own, Trust(()), range(5)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "job      41, 5 runs, the first is pending (Priority)",
        f"follow   runner ls {sweep.path}, runner logs {sweep.path} -f",
    ]
    for number in (0, 1, 3):
        Status(state="completed").write(sweep.runs()[number].status_file)
    fake_slurm.queue(("41_2", "RUNNING", 0, "n1", ""))
    assert resume(sweep, ["launcher.memory=32G"], Trust(())) == 0
    script = (sweep.path / "slurm" / "array.sbatch").read_text().splitlines()
    assert {"#SBATCH --array=4", "#SBATCH --mem=32G", "#SBATCH --time=01:00:00"} <= set(script)
    assert f"resume   {sweep.path}: 1 of 5 runs are left, 1 run in the queue\n" in capsys.readouterr().out
    fake_slurm.queue(("41_2", "RUNNING", 0, "n1", ""), ("42_4", "PENDING", 0, "", ""))
    assert resume(sweep, [], Trust(())) == 0
    assert capsys.readouterr().out == f"{sweep.path}: nothing is left to submit, 2 runs in the queue\n"


def test_lines_of_shell_in_a_sweep_directory_are_not_run_because_they_are_there(
    sweep: SweepDirectory, fake_slurm: FakeSlurm, settings: Settings
) -> None:
    launch(sweep, settings('launcher.setup=["rm -rf everything"]'), Trust(()), [0])
    with pytest.raises(UserError, match=r"launcher\.setup: rm -rf everything"):
        resume(sweep, [], Trust(()))
    assert resume(sweep, [], Trust((sweep.path.resolve(),))) == 0


def test_a_record_that_is_damaged_is_told(sweep: SweepDirectory) -> None:
    (sweep.path / "jobs.json").write_text(json.dumps({"jobs": [{"id": 7}]}))
    with pytest.raises(UserError, match=r"jobs\.json cannot be read"):
        Jobs.of(sweep.path)
