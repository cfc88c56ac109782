"""Runs on a real Slurm: a cluster of four nodes on this machine, the same for all tests."""

import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sandbox import Project, Sandbox, SubmittedRun, free_ports, until

from runner.cli import main
from runner.launch.slurm import queue
from runner.launch.slurm.jobs import Jobs, newest
from runner.launch.slurm.queue import JobState, states
from runner.report.reproduction import compare
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

# A network whose updates take half a second until the file `go` is there: so that something can happen to its run.
# It says that it waits in an update: a run that is stopped before the first has nothing to go on from.
GATED = """
import os, time
from torch import nn

class Net(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.layer = nn.Linear(features, classes)

    def forward(self, images):
        if self.training and not os.path.exists("go"):
            print("in an update")
            time.sleep(0.5)
        return self.layer(images.flatten(1))
"""
BROKEN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.layer = nn.Linear(features, classes)
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        if self.calls == 5:
            raise ValueError("broken in forward")
        return self.layer(images.flatten(1))
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Sandbox]:
    """The cluster, with accounts."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    variables = {"SLURM_NODES": "4", "SLURM_ACCOUNTING": "1", "SLURM_NODE_GPUS": "2", "SLURM_PORT": str(free_ports())}
    sandbox = Sandbox(folder, variables)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patched.setenv("OMP_NUM_THREADS", "1")
        try:
            sandbox.do("start")
            yield sandbox
        finally:
            sandbox.do("stop")
            shutil.rmtree(folder)


def make_project(folder: Path) -> Project:
    (folder / "conf/model").mkdir(parents=True)
    for name, text in {"gated": GATED, "broken": BROKEN}.items():
        (folder / f"{name}.py").write_text(text)
        options = f"_target_: {name}.Net\nfeatures: 64\nclasses: ${{task.outputs}}\n"
        (folder / f"conf/model/{name}.yaml").write_text(options)
    return Project(folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder with code of the user's own; the current one."""
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path)


# --- one run ----------------------------------------------------------------------------------------------------------


def test_a_run_is_executed_by_a_job_and_looked_at_from_another_shell(cluster: Sandbox, project: Project) -> None:
    one = project.submit("one", "epochs=1")
    assert f"job      {one.job}, " in one.printed
    followed = project.type("logs", "outputs/one", "-f")
    assert one.status.state == "completed"
    assert followed.stdout == one.output
    assert f"job      {one.job} on 127.0.0." in followed.stdout
    assert cluster.ended(one.job).items() >= {"JobState": "COMPLETED", "ExitCode": "0:0", "Restarts": "0"}.items()
    assert project.type("ls").stdout.splitlines()[1].split()[:2] == ["outputs/one", "completed"]
    assert project.type("cancel", "outputs/one").stdout == "no job of outputs/one is in the queue\n"


def test_a_run_that_fails_fails_its_job_and_leaves_its_traceback(cluster: Sandbox, project: Project) -> None:
    waited = project.type(
        "submit", "run_dir=outputs/one", "model=broken", "launcher.cpus=1", "launcher.memory=1G", "launcher.wait=true"
    )
    one = SubmittedRun(RunDirectory(project.path / "outputs/one"), waited.stdout)
    assert waited.returncode == 1
    assert cluster.ended(one.job).items() >= {"JobState": "FAILED", "ExitCode": "1:0"}.items()
    assert "ValueError: broken in forward" in one.run.log_file.read_text()
    assert 'broken.py", line 13, in forward' in waited.stdout
    assert (one.status.state, one.status.error) == ("failed", "ValueError: broken in forward")


def test_a_process_that_is_killed_fails_its_job_and_its_run(cluster: Sandbox, project: Project) -> None:
    one = project.submit("one", "model=gated", "epochs=50")
    until(lambda: one.status.state == "running" and one.status.pid, "the run")
    os.kill(one.status.pid or 0, signal.SIGKILL)
    job = cluster.ended(one.job)
    assert (job["JobState"], job["ExitCode"], job["Restarts"]) == ("FAILED", "137:0", "0")
    assert one.status.state == "failed"
    assert (one.status.error or "").startswith("was killed by SIGKILL")


def test_a_run_that_is_cancelled_saves_and_does_not_come_back_until_it_is_submitted_again(
    cluster: Sandbox, project: Project
) -> None:
    one = project.submit("one", "model=gated", "epochs=3")
    until(lambda: "in an update" in one.output, "the start of training")
    assert project.type("cancel", "outputs/one").stdout.startswith(f"cancelled job {one.job}, which was running on ")
    one.reaches("interrupted")
    assert cluster.ended(one.job)["JobState"] == "CANCELLED"  # and not PENDING, as one that was queued again would be
    assert one.status.step > 0
    saved = one.status.step
    assert "cancelled" in project.type("ls").stdout
    (project.path / "go").touch()
    assert project.type("submit", "outputs/one").returncode == 0
    one.reaches("completed")
    assert f"after step {saved}, in epoch" in one.output
    assert cluster.ended(one.job)["JobState"] == "COMPLETED"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            "launcher.partition=urgnt",
            "invalid partition specified: urgnt.*launcher.partition=urgnt.*main, urgent.*urgent",
        ),
        ("launcher.constraint=a100", "Invalid feature specification.*launcher.constraint=a100"),
        ("launcher.memory=900G", "Memory specification can not be satisfied.*launcher.memory=900G"),
        ("launcher.gpus=h100:1", "Requested node configuration is not available.*launcher.gpus=h100:1"),
        ('launcher.sbatch=["--reservation=lab"]', "Requested reservation is invalid.*"),
        ('launcher.sbatch=["--frobnicate"]', "unrecognized option '--frobnicate'.*launcher.sbatch=--frobnicate"),
    ],
)
def test_what_slurm_refuses_is_told_in_its_words_and_leaves_nothing(
    cluster: Sandbox, project: Project, typed: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "run_dir=outputs/one", typed]) == 2
    assert re.match(f"(?s)Slurm refuses the job: {told}", capsys.readouterr().err)
    assert not (project.path / "outputs/one").exists()


def test_what_will_never_start_says_so_at_once(cluster: Sandbox, project: Project) -> None:
    one = project.submit("one", "launcher.nodes=9", "device=ddp")
    until(lambda: "more nodes than the partition allows" in project.type("ls").stdout, "the reason")
    project.type("cancel", "outputs/one")
    assert cluster.ended(one.job)["JobState"] == "CANCELLED"


def test_configuration_and_code_are_those_of_the_submission(cluster: Sandbox, project: Project) -> None:
    (project.path / "go").touch()
    held = ["model=gated", "epochs=1", 'launcher.sbatch=["--hold"]']
    copied = project.submit("copied", *held, "launcher.snapshot_code=true")
    live = project.submit("live", *held)
    (project.path / "conf/model/gated.yaml").write_text("_target_: gated.Other\n")
    (project.path / "gated.py").write_text(
        GATED.replace("return self.layer", "raise ValueError('changed'); return self.layer")
    )
    cluster.call("scontrol", "release", copied.job)
    cluster.call("scontrol", "release", live.job)
    copied.reaches("completed")
    live.reaches("failed")
    assert "changed (" in (live.status.error or "")  # the code as it was when it ran, the configuration not
    assert "warning" not in copied.output  # of the copy, nothing has changed


def test_paths_with_signs_that_mean_something_to_shells_and_to_slurm(
    cluster: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / 'it\'s 100% $HOME, a "b" #1')
    monkeypatch.chdir(project.path)
    one = project.submit("one run%j", "epochs=1", "max_steps=2")
    one.reaches("completed")
    assert "best epoch" in one.output


# --- a sweep ----------------------------------------------------------------------------------------------------------


def submit_sweep(project: Project, *typed: str) -> tuple[SweepDirectory, str]:
    """Submit a sweep; what it is called in the queue."""
    small = ["launcher.cpus=1", "launcher.memory=1G", "tracking.tensorboard=false"]
    done = project.type("train", "-m", "launcher=slurm", *small, *typed)
    assert done.returncode == 0, done.stderr
    (sweep,) = project.path.glob("outputs/*/*-sweep")
    return SweepDirectory(sweep), newest_job(sweep)


def newest_job(sweep: Path) -> str:
    """The array that was submitted last."""
    jobs = Jobs.of(sweep)
    assert jobs is not None
    return jobs.submissions[-1].id


def output(run: RunDirectory) -> str:
    """What a run has printed."""
    return run.output_file.read_text() if run.output_file.exists() else ""


def test_a_sweep_is_one_array_of_which_what_is_missing_can_be_submitted_again(
    cluster: Sandbox, project: Project
) -> None:
    sweep, job = submit_sweep(project, "model=mlp,broken", "max_steps=4", "launcher.max_parallel=1")
    for number, state in enumerate(("COMPLETED", "FAILED")):
        assert cluster.ended(f"{job}_{number}")["JobState"] == state
    statuses = [Status.read(run.status_file) for run in sweep.runs().values()]
    assert [status.state for status in statuses] == ["completed", "failed"]
    assert (statuses[0].ended or "") <= (statuses[1].started or "")  # one at a time
    assert statuses[1].error == "ValueError: broken in forward"
    lines = project.type("logs", str(sweep.path)).stdout.splitlines()
    assert {line[:6] for line in lines} == {"0000  ", "0001  "}
    shutil.copy(project.path / "gated.py", project.path / "broken.py")
    (project.path / "go").touch()
    assert "1 of 2 runs are left" in project.type("resume", str(sweep.path)).stdout
    again = newest_job(sweep.path)
    assert cluster.ended(f"{again}_1")["JobState"] == "COMPLETED"
    names = [one.name for one in newest(run.path for run in sweep.runs().values()).values()]
    assert names == [f"{job}_0", f"{again}_1"]
    assert "nothing is left to submit" in project.type("resume", str(sweep.path)).stdout


def test_one_task_that_is_queued_again_leaves_the_others_alone(cluster: Sandbox, project: Project) -> None:
    """The last task of an array has the number of the whole array for its own."""
    sweep, job = submit_sweep(project, "model=gated", "epochs=9", "seed=0,1")
    runs = sweep.runs()
    until(lambda: all("in an update" in output(run) for run in runs.values()), "both runs")
    assert cluster.job(f"{job}_1")["JobId"] == job
    cluster.call("scancel", "--signal=USR1", f"{job}_1")
    until(lambda: cluster.job(f"{job}_1")["Restarts"] == "1", "another attempt", lambda: output(runs[1]))
    (project.path / "go").touch()
    found = [cluster.ended(f"{job}_{task}") for task in (0, 1)]
    assert [(one["JobState"], one["Restarts"]) for one in found] == [("COMPLETED", "0"), ("COMPLETED", "1")]
    assert "after step" in output(runs[1])
    assert "after step" not in output(runs[0])


def test_workers_share_the_trials_of_a_study_and_go_on_with_their_own(cluster: Sandbox, project: Project) -> None:
    chosen = ["sweeper=optuna", "n_trials=3", "optimizer.lr=interval(0.001,0.1)", "launcher.max_parallel=2"]
    sweep, job = submit_sweep(project, "model=gated", "epochs=9", *chosen)
    until(
        lambda: len(sweep.runs()) == 2 and all("in an update" in output(run) for run in sweep.runs().values()),
        "both runs",
    )
    (stopped,) = [number for number, run in sweep.runs().items() if newest([run.path])[run.path].name == f"{job}_1"]
    cluster.call("scancel", "--signal=USR1", f"{job}_1")
    until(lambda: cluster.job(f"{job}_1")["Restarts"] == "1", "another attempt", lambda: output(sweep.runs()[stopped]))
    (project.path / "go").touch()
    found = [cluster.ended(f"{job}_{task}") for task in (0, 1)]
    assert [(one["JobState"], one["Restarts"]) for one in found] == [("COMPLETED", "0"), ("COMPLETED", "1")]
    runs = sweep.runs()
    assert [Status.read(run.status_file).state for run in runs.values()] == ["completed"] * 3
    assert [number for number, run in runs.items() if "after step" in output(run)] == [stopped]
    assert newest([runs[stopped].path])[runs[stopped].path].name == f"{job}_1"


# --- several processes ------------------------------------------------------------------------------------------------


def test_processes_on_several_nodes_train_one_run(cluster: Sandbox, project: Project) -> None:
    typed = ["device=ddp", "device.kind=cpu", "max_steps=4", "launcher.nodes=2"]
    one = project.submit("one", *typed)
    job = cluster.ended(one.job)
    assert (job["ExitCode"], job["NumNodes"]) == ("0:0", "2"), one.output
    assert (one.status.state, one.status.step) == ("completed", 4)
    assert "2 processes" in one.output
    assert [file.name for file in (one.run.path / "ranks").iterdir()] == ["1.log"]


# --- what the queue says ----------------------------------------------------------------------------------------------


def test_accounts_are_asked_where_there_are_any(
    cluster: Sandbox, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = cluster.call("sbatch", "--parsable", "--output=/dev/null", "--wrap", "exit 3").strip()
    cluster.ended(job)
    assert states([job]) == {job: JobState(job, "FAILED", "NonZeroExitCode", states([job])[job].nodes)}
    monkeypatch.setattr(queue, "_of_squeue", lambda numbers: {})  # it forgets after some minutes
    until(lambda: states([job]), "the accounts, which lag behind")
    assert states([job])[job].state == "FAILED"
    without = cluster.folder / "without-accounts.conf"
    text = (cluster.folder / "slurm.conf").read_text()
    without.write_text(re.sub(r"(AccountingStorageType=accounting_storage/)slurmdbd", r"\1none", text))
    monkeypatch.setenv("SLURM_CONF", str(without))
    assert states([job]) == {}


# --- what happens to runs ---------------------------------------------------------------------------------------------


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@dataclass(frozen=True)
class Stories:
    """Runs of one configuration, to each of which something has happened, and one that was left alone."""

    project: Project
    left_alone: SubmittedRun
    warned: SubmittedRun
    made_way: SubmittedRun
    lost_its_node: SubmittedRun
    lost_its_daemon: SubmittedRun
    was_alive: list[bool] = field(default_factory=list)
    """Whether the process that was believed dead lived when its job was queued again."""

    def all(self) -> list[SubmittedRun]:
        return [self.left_alone, self.warned, self.made_way, self.lost_its_node, self.lost_its_daemon]


@pytest.fixture(scope="module")
def stories(cluster: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Stories:
    """All at the same time, as each takes Slurm half a minute to notice."""
    project = make_project(tmp_path_factory.mktemp("stories"))

    def submit_to(name: str, *nodes: int) -> SubmittedRun:
        others = ",".join(f"127.0.0.{node}" for node in range(1, 5) if node not in nodes)
        typed = [f'launcher.sbatch=["--exclude={others}"]', "launcher.time=01:00:00", "launcher.warning=60"]
        return project.submit(name, "model=gated", "epochs=8", "checkpoint.every_steps=2", *typed)

    found = Stories(
        project,
        left_alone=submit_to("left_alone", 4),
        warned=submit_to("warned", 4),
        made_way=submit_to("made_way", 3),
        lost_its_node=submit_to("lost_its_node", 1, 4),
        lost_its_daemon=submit_to("lost_its_daemon", 2, 4),
    )
    for one in found.all():
        one.has_saved()
    assert [cluster.job(one.job)["NodeList"] for one in found.all()] == [f"127.0.0.{n}" for n in (4, 4, 3, 1, 2)]
    minute = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 45))
    cluster.call("scontrol", "update", f"JobId={found.warned.job}", f"EndTime={minute}")
    believed_dead = found.lost_its_daemon.status.pid or 0
    cluster.do("fail", "127.0.0.1")
    cluster.do("mute", "127.0.0.2")
    urgent = ["--partition=urgent", "--nodelist=127.0.0.3", "--exclusive", "--output=/dev/null", "--wrap", "sleep 1"]
    cluster.call("sbatch", *urgent)
    until(lambda: cluster.job(found.lost_its_daemon.job)["Restarts"] == "1", "the job is queued again")
    found.was_alive.append(is_alive(believed_dead))
    for one in found.all()[1:]:
        one.is_executed_again()
    until(lambda: not is_alive(believed_dead), "the process that was believed dead leaves")
    (project.path / "go").touch()
    for one in found.all():
        one.reaches("completed")
        cluster.ended(one.job)
    cluster.do("start")  # the two nodes
    return found


@pytest.mark.parametrize("name", ["warned", "made_way", "lost_its_node", "lost_its_daemon"])
def test_a_run_ends_with_the_same_bits_whatever_has_happened_to_it(
    stories: Stories, name: str, cluster: Sandbox
) -> None:
    one: SubmittedRun = getattr(stories, name)
    assert compare(stories.left_alone.run, one.run) is None
    assert one.status.executions == 2
    assert cluster.job(one.job).items() >= {"JobState": "COMPLETED", "Restarts": "1", "ExitCode": "0:0"}.items()
    assert cluster.job(stories.left_alone.job)["Restarts"] == "0"


def test_a_warning_before_the_time_limit_lets_the_run_save_and_queue_itself_again(stories: Stories) -> None:
    assert re.search(r"stopped after step (\d+), saved(?s:.*)after step \1,", stories.warned.output)
    assert f"queueing job {stories.warned.job} again, 1 of 100 times" in stories.warned.output


def test_a_run_that_has_to_make_way_saves_and_goes_on_afterwards(stories: Stories) -> None:
    assert re.search(r"stopped after step (\d+), saved(?s:.*)after step \1,", stories.made_way.output)


def test_a_run_whose_node_failed_goes_on_elsewhere_and_says_why(stories: Stories, cluster: Sandbox) -> None:
    one = stories.lost_its_node
    assert cluster.job(one.job)["NodeList"] == "127.0.0.4"
    assert re.search(
        rf"job +{one.job} on 127\.0\.0\.4, queued again 1 time; on .* it ended without a word: the node failed",
        one.output,
    )


def test_of_two_attempts_at_the_same_time_the_earlier_one_leaves(stories: Stories) -> None:
    """Its node was believed dead, and was not: its process went on while the next attempt began."""
    assert stories.was_alive == [True]
    one = stories.lost_its_daemon
    assert one.status.state == "completed"
    assert (one.run.path / "lock").read_bytes() == b""
