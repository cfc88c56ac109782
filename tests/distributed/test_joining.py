"""Processes that were started together train one run, and speak with one voice."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crew import assert_same, command, done, free_port, rows, status_of

from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock

TINY = (
    "epochs=2",
    "tracking.tensorboard=false",
    "model.hidden=[8]",
    "model.dropout=0",
    "data.batch_size=315",
    "name=same",
)
DDP = ("train", *TINY, "device=ddp")


def runs(folder: Path) -> list[RunDirectory]:
    return [RunDirectory(file.parent) for file in folder.glob("outputs/**/config.yaml")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_three_processes_make_one_run_directory_and_one_of_them_writes(home: Path) -> None:
    codes, text = done(home, 3, command, *DDP)
    assert codes == [0, 0, 0], text
    (run,) = runs(home)
    assert text.count("run      outputs/") == 1
    assert "device   3 processes, each on cpu, " in text
    assert len(rows(run)) == 3
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "lock",
        "metrics.csv",
        "overrides.yaml",
        "provenance.json",
        "ranks",
        "signature.json",
        "status.json",
        "train.log",
    ]
    assert sorted(path.name for path in (run.path / "ranks").iterdir()) == ["1.log", "2.log"]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "best.pt",
        "last.pt",
        "step-00000004-epoch-1.pt",
        "step-00000008-epoch-2.pt",
    ]
    assert [(home.parent / f"home.{rank}.out").read_text() for rank in (1, 2)] == ["", ""]


WRONG = {
    "one process is asked for": (
        ("train", *TINY),
        "torchrun has started 2 processes, and device.parallel=none is for one\n",
    ),
    "another number is asked for": (
        (*DDP, "device.processes=3"),
        "device.processes=3, and torchrun has started 2\n",
    ),
    "a batch is too small": (
        (*DDP, "data.batch_size=1"),
        "2 processes share each batch, and data.batch_size=1\n",
    ),
    "a key is wrong": ((*DDP, "epoch=3"), "epoch is not a setting\n"),
    "a sweep is asked for": (
        ("train", "-m", *TINY, "seed=0,1", "device=ddp"),
        "torchrun has started 2 processes, and a sweep is begun by one\n",
    ),
    "the run is not there": (("resume", "outputs/nothing"), "outputs/nothing is not a run directory: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_told_once_and_nothing_is_written(home: Path, case: str) -> None:
    args, told = WRONG[case]
    codes, text = done(home, 2, command, *args)
    assert codes == [2, 2]
    assert text.startswith(told)
    assert (home.parent / "home.1.out").read_text() == ""
    assert list(home.iterdir()) == []


def test_a_run_that_is_being_executed_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert done(home, 2, command, *DDP, "run_dir=run", "max_steps=1", "epochs=1")[0] == [0, 0]
    with RunLock(home / "run"):
        codes, text = done(home, 2, command, "resume", "run", "epochs=2")
    assert codes == [2, 2]
    assert text.startswith("run is being executed by another process: ")


def test_a_configuration_is_shown_once(home: Path) -> None:
    codes, text = done(home, 2, command, "train", "--cfg", "job")
    assert codes == [0, 0]
    assert text.count("\n  batch_size:") == 1


def test_a_run_that_is_complete_is_said_to_be_once(home: Path) -> None:
    assert done(home, 2, command, *DDP, "run_dir=run")[0] == [0, 0]
    codes, text = done(home, 2, command, "resume", "run")
    assert (codes, text.count("run is complete")) == ([0, 0], 1)
    codes, text = done(home, 2, command, "resume", "run", "epochs=3")
    assert codes == [0, 0], text
    assert len(rows(RunDirectory(home / "run"))) == 4, "of three epochs, and of the test split"


def test_tasks_of_srun_find_each_other_by_what_slurm_tells_them(home: Path) -> None:
    """Two virtual nodes, which are two addresses of this machine."""
    slurm = {
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "SLURM_PROCID": "{rank}",
        "SLURM_LOCALID": "0",
        "SLURM_NTASKS": "2",
        "SLURM_JOB_NODELIST": "127.0.0.[1-2]",
        "SLURM_JOB_ID": str(free_port()),
        "SLURM_STEP_ID": "0",
        "ENVIRONMENT": "BATCH",
    }
    codes, text = done(home, 2, command, *DDP, "run_dir=shared", env=slurm)
    assert codes == [0, 0], text
    assert done(home, 1, command, "train", *TINY, "run_dir=alone")[0] == [0]
    assert_same(RunDirectory(home / "shared"), RunDirectory(home / "alone"))
    codes, text = done(home, 2, command, "train", *TINY, env=slurm)
    assert codes == [2, 2]
    assert text.startswith("srun has started 2 processes, and device.parallel=none is for one\n")


def test_two_jobs_of_srun_on_one_port_are_told_so(home: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = {
            "TORCH_CPP_LOG_LEVEL": "FATAL",
            "SLURM_PROCID": "0",
            "SLURM_NTASKS": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(taken.getsockname()[1]),
            "SLURM_JOB_ID": "1",
        }
        codes, text = done(home, 1, command, *DDP, env=env)
    assert codes == [2]
    assert text.startswith(f"process 0 of 2 does not find the others at 127.0.0.1:{env['MASTER_PORT']}\n")
    assert list(home.iterdir()) == []


def test_runs_of_several_processes_are_reproduced_by_several(home: Path) -> None:
    assert done(home, 2, command, *DDP, "run_dir=run", "model.dropout=0.2")[0] == [0, 0]
    codes, text = done(home, 2, command, "reproduce", "run")
    assert codes == [0, 0]
    assert text.endswith("identical: run-again equals run to the last bit, in every metric and every weight\n")


class Strict:
    """Finds a run hopeless after its second epoch."""

    metric = "val/loss"

    def is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        assert value > 0
        return epoch == 2


def execute_judged(run: str) -> int:
    """Execute a run that is judged after each epoch."""
    from runner.launch.single import execute_here
    from runner.launch.together import as_one
    from runner.training.signals import StopRequest
    from runner.trust import Trust

    def execute(meeting: Any) -> int:
        trust = Trust((), everything=True)
        return execute_here(RunDirectory(Path(run)), trust, StopRequest(), judge=Strict(), meeting=meeting)

    return as_one(execute)


def test_a_run_that_is_judged_hopeless_ends_in_all_processes(home: Path) -> None:
    assert done(home, 2, command, *DDP, "run_dir=run", "epochs=1")[0] == [0, 0]
    run = RunDirectory(home / "run")
    run.config_file.write_text(run.config_file.read_text().replace("\nepochs: 1\n", "\nepochs: 5\n"))
    codes, text = done(home, 2, execute_judged, "run")
    assert codes == [0, 0], text
    assert "pruned   after epoch 2: the study has better ones\n" in text
    assert (status_of(run).state, status_of(run).epoch) == ("pruned", 2)


def test_one_process_imports_nothing_that_several_need() -> None:
    program = """
import sys
import runner.launch.single, runner.training.execute
print(*(name for name in sys.modules if name.startswith("torch.distributed")))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    torch_alone = subprocess.run(
        [sys.executable, "-c", program.replace("runner.launch.single, runner.training.execute", "torch")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(found) == set(torch_alone)
