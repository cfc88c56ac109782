"""The settings of a job: what is allowed, and what it becomes for Slurm."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError
from runner.launch.slurm.options import asked_for, environment, require_consistent, seconds

Settings = Callable[..., SlurmLauncher]


def test_what_is_set_is_asked_for_and_what_is_null_is_not(settings: Settings) -> None:
    typed = ["partition=gpu", "account=1234", "qos=null", "nodes=2", "processes=4", "gpus=a100:4", "cpus=8"]
    typed += ["memory=64G", "time=1-02:00:00", "constraint='a100|h100'", "warning=300"]
    assert asked_for(settings(*(f"launcher.{word}" for word in typed))) == {
        "partition": "gpu",
        "account": "1234",
        "nodes": "2",
        "ntasks-per-node": "4",
        "gres": "gpu:a100:4",
        "cpus-per-task": "8",
        "mem": "64G",
        "time": "1-02:00:00",
        "constraint": "a100|h100",
        "signal": "USR1@300",
    }


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("launcher.time=60", "hours:minutes:seconds"),
        ("launcher.time=02:00", "hours:minutes:seconds"),  # two minutes for Slurm, two hours for people
        ("launcher.memory=16", "with its unit"),
        ("launcher.memory=8GB", "with its unit"),
        ("launcher.gpus=0", "1 or more"),
        ("launcher.nodes=0", "1 or more"),
        ("launcher.partition='a b'", "without blanks"),
        ("launcher.warning=70000", "65535 or less"),
        ("launcher.requeues=-1", "0 or more"),
        ("launcher.sbatch=[exclusive]", "options of sbatch"),
    ],
)
def test_what_could_be_misunderstood_is_refused(settings: Settings, typed: str, expected: str) -> None:
    key = typed.partition("=")[0]
    with pytest.raises(UserError, match=rf"(?s)^{key}\S*=.* is not valid\n  where: .*{key}.*{expected}"):
        settings(typed)


def test_a_time_without_quotes_in_a_file_is_refused_and_not_taken_for_a_number(settings: Settings) -> None:
    Path("conf/hydra/launcher").mkdir(parents=True)
    Path("conf/hydra/launcher/mine.yaml").write_text("defaults: [slurm]\ntime: 10:00:00\n")  # 36,000 to YAML
    with pytest.raises(UserError, match="in a file in quotes"):
        settings("launcher=mine")


def test_a_launcher_of_ones_own_has_what_differs(settings: Settings) -> None:
    Path("conf/hydra/launcher").mkdir(parents=True)
    Path("conf/hydra/launcher/mine.yaml").write_text(
        'defaults: [slurm]\npartition: gpu\ntime: "10:00:00"\nsetup: [module load cuda/11.1]\n'
    )
    found = settings("launcher=mine", "launcher.memory=16G")
    assert (found.partition, found.time, found.memory) == ("gpu", "10:00:00", "16G")
    assert found.setup == ["module load cuda/11.1"]
    assert found.requeues == settings().requeues


def test_an_unknown_setting_is_told_with_the_nearest(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"(?s)launcher\.partion is not a setting.*nearest: +partition"):
        settings("launcher.partion=gpu")


def test_a_launcher_that_is_not_for_slurm_is_refused(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"^launcher=local does not submit to Slurm"):
        settings("launcher=local")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--array=0-9", r"--array=0-9 is set by this program itself\n  fix: +launcher.max_parallel"),
        ("--mem=4G", r"--mem=4G is set by this program itself\n  fix: +launcher.memory"),
        ("--output=x", r"--output=x is set by this program itself\n  fix: +leave it out"),
    ],
)
def test_options_that_the_script_sets_itself_are_refused(settings: Settings, option: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        require_consistent(settings(f'launcher.sbatch=["{option}"]'))


def test_a_warning_that_comes_at_the_start_is_refused(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"launcher\.time=00:02:00 is over when the run is told to stop"):
        require_consistent(settings("launcher.time=00:02:00", "launcher.warning=120"))
    require_consistent(settings("launcher.time=00:02:01", "launcher.warning=120"))


@pytest.mark.parametrize(
    ("time", "expected"), [("00:00:07", 7), ("02:30:00", 9_000), ("48:00:00", 172_800), ("2-01:00:01", 176_401)]
)
def test_times_in_seconds(time: str, expected: int) -> None:
    assert seconds(time) == expected


def test_variables_that_would_win_over_the_settings_do_not_reach_sbatch(settings: Settings) -> None:
    variables: dict[str, Any] = {
        "SBATCH_PARTITION": "other",  # set below
        "SBATCH_ACCOUNT": "mine",  # not set: the user's default
        "SBATCH_MEM_PER_CPU": "1G",  # contradicts launcher.memory
        "SBATCH_TIMELIMIT": "1",
        "SBATCH_ARRAY_INX": "0-3",
        "SBATCH_NO_REQUEUE": "",
        "SBATCH_OUTPUT": "elsewhere",
        "SLURM_MEM_PER_NODE": "100",  # of the job that the command is typed in
        "SLURM_JOB_ID": "7",
        "SLURM_CONF": "/etc/slurm.conf",
        "HOME": "/home/me",
    }
    found = environment(settings("launcher.partition=gpu", "launcher.time=01:00:00"), variables)
    assert found == {"SBATCH_ACCOUNT": "mine", "SLURM_CONF": "/etc/slurm.conf", "HOME": "/home/me"}
