"""Commands as they are typed, each in a process of its own: exit codes, what is printed, what is left on the disk."""

import contextlib
import csv
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from terminal import CommandLine

pytestmark = pytest.mark.slow

TINY = ["data.batch_size=200", "model.hidden=[16]", "tracking.graph=false"]
"""Seven steps an epoch on the digits, and nothing that takes long."""


@pytest.fixture
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which importing torch ends the process with exit code 99."""
    folder = tmp_path_factory.mktemp("without_torch")
    (folder / "torch.py").write_text(
        "import os, sys\nprint('torch was imported', file=sys.stderr, flush=True)\nos._exit(99)\n"
    )
    return {"PYTHONPATH": str(folder)}


def test_the_trap_for_torch_catches_a_command_that_trains(runner: CommandLine, without_torch: dict[str, str]) -> None:
    done = runner("train", **without_torch)
    assert (done.returncode, done.stderr) == (99, "torch was imported\n")


# --- refused requests -------------------------------------------------------------------------------------------------

REFUSED = {
    "unknown option": (["model=unett"], "fix:      model=unet"),
    "unknown key": (["optimizer.lrr=0.1"], "nearest:  lr"),
    "unknown key with a plus": (["+optimizer.lrr=0.1"], "nearest:  lr"),
    "wrong type": (["epochs=ten"], "expected: a whole number"),
    "wrong type of a learning rate": (["optimizer.lr=abc"], "expected: a number"),
    "missing value": (["data=csv_images"], "fix:      data.source.csv=VALUE"),
    "negative batch size": (["data.batch_size=-4"], "expected: a number of 1 or more"),
    "missing folder": (["data=image_folder", "data.source.root=nowhere"], "data.source.root: the folder nowhere"),
    "missing CSV file": (["data=csv_images", "data.source.csv=nowhere.csv"], "the file nowhere.csv is not there"),
    "a model that cannot do the task": (["model=unet", "data=digits"], "model=unet cannot do task=classification"),
    "one wrong point of a sweep": (["-m", "epochs=1,ten"], "epochs=ten is not valid"),
    "a sweep over no values": (["-m", "seed=range(0,0)"], "seed=range(0,0) has no values"),
    "a reference to nothing": (["name=${nothing}"], "name=${nothing} leads nowhere"),
    "no option": (["scheduler=null"], "scheduler=null: there is no such scheduler"),
    "a seed that torch does not take": (["seed=99999999999999999999"], "expected: a number of 9223372036854775807 or"),
    "unknown flag": (["--mulitrun"], "--multirun"),
}


@pytest.mark.parametrize(("typed", "told"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_request_is_refused_before_torch_and_leaves_nothing(
    runner: CommandLine, without_torch: dict[str, str], typed: list[str], told: str
) -> None:
    done = runner("train", *typed, **without_torch)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list(runner.folder.iterdir()) == []


def test_mistakes_of_every_kind_are_told_together(runner: CommandLine, without_torch: dict[str, str]) -> None:
    typed = ["model=mpl", "epochs=ten", "+optimizer.lrr=1", "data.batch_size=-4", "data.source.root=nowhere"]
    done = runner("train", *typed, **without_torch)
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert [line.split()[0] for line in sorted(told)] == [
        "data.batch_size=-4",
        "data.source.root",
        "epochs=ten",
        "model=mpl:",
        "optimizer.lrr",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(runner: CommandLine) -> None:
    done = runner("train", "device=cuda")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("device=cuda: there is none here\n")
    assert "Traceback" not in done.stderr
    assert list(runner.folder.iterdir()) == []


@pytest.mark.parametrize("command", ["resume", "eval"])
def test_a_folder_that_is_no_run_is_refused_before_torch(
    runner: CommandLine, without_torch: dict[str, str], command: str
) -> None:
    done = runner(command, "outputs", **without_torch)
    assert (done.returncode, done.stdout) == (2, "")
    assert "outputs is not a run directory: there is no such folder" in done.stderr
    assert list(runner.folder.iterdir()) == []


# --- a run and what can be asked of it --------------------------------------------------------------------------------


def rows_of(run: Path) -> list[dict[str, str]]:
    """The rows of ``metrics.csv`` as they stand there, to the last digit."""
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The folder of one completed run, ``first``."""
    runner = CommandLine(tmp_path_factory.mktemp("finished"))
    done = runner("train", "run_dir=first", "epochs=3", *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    (runner.folder / "train.out").write_text(done.stdout)
    return runner


def test_what_training_prints_names_the_device_the_data_the_epochs_and_where_the_run_is(finished: CommandLine) -> None:
    lines = (finished.folder / "train.out").read_text().splitlines()
    assert lines[0] == "run      first"
    assert lines[1].startswith("device   ")
    assert lines[2] == "data     digits: 1,257 training, 270 validation, 270 test samples of 1x8x8"
    assert [line.split()[0] for line in lines if line.lstrip()[:2] in ("1/", "2/", "3/")] == ["1/3", "2/3", "3/3"]
    assert [line.split()[0] for line in lines[-3:]] == ["run", "curves", "again"]


def test_eval_gives_the_test_row_of_the_metrics_and_changes_nothing(finished: CommandLine) -> None:
    files = {file: file.stat().st_mtime_ns for file in finished.folder.rglob("*") if file.is_file()}
    done = finished("eval", "first", "--json")
    assert done.returncode == 0
    said = json.loads(done.stdout)
    test_row = rows_of(finished.folder / "first")[-1]
    assert said["metrics"] == {name: float(test_row[f"test/{name}"]) for name in ("loss", "accuracy", "f1")}
    assert (said["run"], said["split"], said["checkpoint"], said["samples"]) == ("first", "test", "best", 270)
    assert said["epoch"] == int(test_row["epoch"])
    assert {file: file.stat().st_mtime_ns for file in finished.folder.rglob("*") if file.is_file()} == files


def test_eval_of_the_last_checkpoint_on_the_validation_split_gives_the_last_epochs_row(finished: CommandLine) -> None:
    done = finished("eval", "first", "--split", "val", "--checkpoint", "last", "--json")
    last = rows_of(finished.folder / "first")[2]
    assert json.loads(done.stdout)["metrics"] == {
        name: float(last[f"val/{name}"]) for name in ("loss", "accuracy", "f1")
    }


def test_ls_tells_the_run_without_torch(finished: CommandLine, without_torch: dict[str, str]) -> None:
    done = finished("ls", ".", **without_torch)
    assert done.returncode == 0
    header, row = (line.split() for line in done.stdout.splitlines() if not set(line) <= {"-", " "})
    assert header == ["run", "state", "progress", "best", "time"]
    assert row[:4] == ["first", "completed", "3/3", "val/accuracy"]
    (record,) = json.loads(finished("ls", ".", "--json", **without_torch).stdout)
    assert record["run"] == "first"
    assert record["best"] == pd.read_csv(finished.folder / "first" / "metrics.csv")["val/accuracy"].max()


def test_resuming_a_complete_run_does_nothing_and_needs_no_torch(
    finished: CommandLine, without_torch: dict[str, str]
) -> None:
    done = finished("resume", "first", **without_torch)
    assert done.returncode == 0
    assert done.stdout.startswith("first is complete: nothing is left to train\n")


def test_a_run_directory_that_exists_is_refused(finished: CommandLine) -> None:
    before = sorted(finished.folder.rglob("*"))
    done = finished("train", "run_dir=first")
    assert (done.returncode, done.stdout) == (2, "")
    assert "run_dir=first exists already" in done.stderr
    assert "runner resume first" in done.stderr
    assert sorted(finished.folder.rglob("*")) == before


def test_summary_counts_the_parameters_and_makes_no_run(runner: CommandLine) -> None:
    done = runner("summary", "model.hidden=[16]")
    assert (done.returncode, done.stderr) == (0, "")
    parameters = 8 * 8 * 16 + 16 + 16 * 10 + 10
    assert f"parameters     {parameters:,}\n" in done.stdout
    assert list(runner.folder.iterdir()) == []


def test_commands_that_train_nothing_import_no_torch(runner: CommandLine, without_torch: dict[str, str]) -> None:
    for args in (["--help"], ["train", "--help"], ["train", "--cfg", "job"], ["train", "--info"], ["ls"]):
        assert runner(*args, **without_torch).returncode == 0, args


def test_runs_started_at_once_get_directories_of_their_own(runner: CommandLine) -> None:
    started = [runner.start("train", f"seed={seed}", "max_steps=1", "name=same", *TINY) for seed in range(4)]
    printed = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4
    assert len(runner.runs()) == 4
    for seed, text in enumerate(printed):
        run = runner.folder / text.splitlines()[0].removeprefix("run").strip()
        assert run in runner.runs()
        assert f"\nseed: {seed}\n" in (run / "config.yaml").read_text()
        assert json.loads((run / "status.json").read_text())["state"] == "completed"


# --- interruptions ----------------------------------------------------------------------------------------------------

HELD_MODEL = '''
import time
from pathlib import Path

from torch import nn


class Held(nn.Sequential):
    """A network that stops within its tenth training step for as long as there is a file named hold."""

    def __init__(self, inputs, outputs):
        super().__init__(nn.Flatten(), nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, outputs))
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.training and self.steps == 10 and Path("hold").exists():
            Path("reached").touch()
            while Path("hold").exists():
                time.sleep(0.01)
        return super().forward(images)
'''
HELD_OPTION = "_target_: held.Held\ninputs: 64\noutputs: ${task.outputs}\n"
HELD_RUN = ["model=held", "epochs=4", "data.batch_size=200", "tracking.graph=false", "tracking.log_every=2"]
"""28 steps, and the tenth, the third of epoch 2, is the one that is held."""


def held_project(folder: Path) -> CommandLine:
    """A user's project whose model=held stands still within a step while there is a file named hold."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "held.yaml").write_text(HELD_OPTION)
    (folder / "held.py").write_text(HELD_MODEL)
    return CommandLine(folder)


@pytest.fixture
def held(tmp_path: Path) -> CommandLine:
    """The project, with the file."""
    (tmp_path / "hold").touch()
    return held_project(tmp_path)


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that is never stopped."""
    runner = held_project(tmp_path_factory.mktemp("project"))
    done = runner("train", "run_dir=alone", *HELD_RUN)
    assert done.returncode == 0, done.stderr
    return runner.folder / "alone"


def wait_until_held(runner: CommandLine, process: "subprocess.Popen[str]", run: str, saved_step: int) -> None:
    """Wait until the run stands still and its last checkpoint, which is written beside the training, is on the disk."""
    last = runner.folder / run / "checkpoints" / "last.pt"
    while not ((runner.folder / "reached").exists() and last.exists() and step_of(last) == saved_step):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def step_of(checkpoint_file: Path) -> int:
    """How many updates a checkpoint holds, as plain torch reads it."""
    return int(torch.load(checkpoint_file, weights_only=True)["progress"]["step"])


def status_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "status.json").read_text()))


def checkpoint(run: Path, name: str) -> dict[str, Any]:
    """A checkpoint as plain torch reads it."""
    return dict(torch.load(run / "checkpoints" / f"{name}.pt", weights_only=True))


def assert_same_result(run: Path, other: Path) -> None:
    """Equal weights, optimizer and metrics to the last bit."""
    one, two = checkpoint(run, "last"), checkpoint(other, "last")
    assert one["progress"] == two["progress"]
    assert one["model"].keys() == two["model"].keys()
    for name, tensor in one["model"].items():
        assert torch.equal(tensor, two["model"][name]), name
    for number, state in one["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, two["optimizer"]["state"][number][name]), name
    rows, others = (pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (run, other))
    pd.testing.assert_frame_equal(rows, others, check_exact=True)


def test_sigterm_ends_the_step_saves_and_exits_75_and_resume_completes(held: CommandLine, left_alone: Path) -> None:
    run = held.folder / "stopped"
    process = held.start("train", "run_dir=stopped", *HELD_RUN)
    wait_until_held(held, process, "stopped", saved_step=7)
    process.send_signal(signal.SIGTERM)
    (held.folder / "hold").unlink()
    out, err = process.communicate()
    assert (process.returncode, err) == (75, "")
    assert "stopped after step 10, saved; to go on: runner resume stopped" in out
    assert (status_of(run)["state"], status_of(run)["step"]) == ("interrupted", 10)
    assert checkpoint(run, "last")["progress"]["step"] == 10

    done = held("resume", "stopped")
    assert (done.returncode, done.stderr) == (0, "")
    assert "resume   after step 10, in epoch 2" in done.stdout
    assert (status_of(run)["state"], status_of(run)["executions"]) == ("completed", 2)
    assert_same_result(run, left_alone)


def test_ctrl_c_ends_the_step_saves_and_exits_130(held: CommandLine) -> None:
    process = held.start("train", "run_dir=stopped", *HELD_RUN)
    wait_until_held(held, process, "stopped", saved_step=7)
    process.send_signal(signal.SIGINT)
    (held.folder / "hold").unlink()
    out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert "runner resume stopped" in out
    assert checkpoint(held.folder / "stopped", "last")["progress"]["step"] == 10


def test_a_second_ctrl_c_leaves_at_once_and_the_checkpoint_before_it_is_whole(
    held: CommandLine, left_alone: Path
) -> None:
    run = held.folder / "stopped"
    process = held.start("train", "run_dir=stopped", *HELD_RUN)
    wait_until_held(held, process, "stopped", saved_step=7)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)  # two signals that arrive together are one
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()  # the step is still being held, so this would wait for ever
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert "runner resume stopped" in out + err
    assert status_of(run)["state"] == "interrupted"
    assert checkpoint(run, "last")["progress"]["step"] == 7, "that of the first epoch's end"

    (held.folder / "hold").unlink()
    assert held("resume", "stopped").returncode == 0
    assert_same_result(run, left_alone)


@pytest.mark.parametrize(
    ("extra", "saved_step"),
    [([], 7), (["checkpoint.every_steps=3"], 9)],
    ids=["saved by epoch", "saved within the epoch"],
)
def test_a_killed_run_is_resumed_to_the_result_of_the_run_left_alone(
    held: CommandLine, left_alone: Path, extra: list[str], saved_step: int
) -> None:
    run = held.folder / "killed"
    process = held.start("train", "run_dir=killed", *HELD_RUN, *extra)
    wait_until_held(held, process, "killed", saved_step)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert status_of(run)["state"] == "running", "nobody was left to write another state"

    (held.folder / "hold").unlink()
    done = held("resume", "killed")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"resume   after step {saved_step}, in epoch 2" in done.stdout
    assert_same_result(run, left_alone)


def test_a_run_that_is_being_executed_is_not_executed_a_second_time(held: CommandLine) -> None:
    process = held.start("train", "run_dir=running", *HELD_RUN)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(process.communicate)
        cleanup.callback(process.kill)
        wait_until_held(held, process, "running", saved_step=7)
        done = held("resume", "running")
    assert done.returncode == 2
    assert f"is being executed by another process: process {process.pid} on " in done.stderr


# --- faults -----------------------------------------------------------------------------------------------------------

PICKY_MODEL = '''
from torch import nn


class Picky(nn.Sequential):
    """A network with a fault: it cannot count to thirteen."""

    def __init__(self, inputs, width, outputs):
        super().__init__(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))
        self.width = width

    def forward(self, images):
        if self.training and self.width == 13:
            raise RuntimeError("thirteen is too much for me")
        return super().forward(images)
'''
PICKY_OPTION = "_target_: picky.Picky\ninputs: 64\nwidth: 8\noutputs: ${task.outputs}\n"


@pytest.fixture
def picky(runner: CommandLine) -> CommandLine:
    """A user's project whose model=picky raises in training if its width is 13."""
    (runner.folder / "conf" / "model").mkdir(parents=True)
    (runner.folder / "conf" / "model" / "picky.yaml").write_text(PICKY_OPTION)
    (runner.folder / "picky.py").write_text(PICKY_MODEL)
    return runner


def test_a_fault_in_a_users_model_is_shown_with_its_line_and_the_run_is_failed(picky: CommandLine) -> None:
    done = picky("train", "model=picky", "model.width=13", "run_dir=failed")
    assert done.returncode == 1
    run = picky.folder / "failed"
    for text in (done.stdout + done.stderr, (run / "train.log").read_text()):
        assert "Traceback (most recent call last)" in text
        line = 1 + PICKY_MODEL.splitlines().index('            raise RuntimeError("thirteen is too much for me")')
        assert f'picky.py", line {line}, in forward' in text
    assert status_of(run)["state"] == "failed"
    assert status_of(run)["error"] == "RuntimeError: thirteen is too much for me"


def test_a_users_model_that_cannot_take_the_samples_is_told_with_its_line(picky: CommandLine) -> None:
    done = picky("train", "model=picky", "model.inputs=63", "run_dir=failed")
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert "model=picky cannot work with data=digits: a sample has shape (1, 8, 8)\n" in told
    line = 1 + PICKY_MODEL.splitlines().index("        return super().forward(images)")
    assert f"picky.py, line {line}, in forward)\n" in told
    assert status_of(picky.folder / "failed")["state"] == "failed"
