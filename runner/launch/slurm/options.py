"""The settings of the launcher as options of sbatch: to ask for them, and to tell which of them was refused."""

import os
from collections.abc import Mapping
from typing import Any

from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError

OPTIONS = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "nodes": "nodes",
    "processes": "ntasks-per-node",
    "gpus": "gres",
    "cpus": "cpus-per-task",
    "memory": "mem",
    "time": "time",
    "constraint": "constraint",
    "warning": "signal",
}
"""The option of sbatch that carries a setting."""
SETTINGS = {option: key for key, option in OPTIONS.items()}
"""The setting that an option of sbatch carries."""

_OWN = {
    "array": "max_parallel",
    "requeue": "requeues",
    "no-requeue": "requeues",
    "wait": "wait",
    **dict.fromkeys(("chdir", "job-name", "open-mode", "output", "error", "wrap", "parsable", "test-only")),
}
"""Other options that the script needs for itself, with the setting that they follow from."""
_VARIABLES = {
    "mem": ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU"),
    "time": ("SBATCH_TIMELIMIT",),
    "array": ("SBATCH_ARRAY_INX",),
}
"""The variables that mean the same as an option and win over it in a script, where they are not called like it."""
_OF_THE_CLUSTER = ("SLURM_CONF", "SLURM_CLUSTERS")


def asked_for(settings: SlurmLauncher) -> dict[str, str]:
    """What the settings ask for, by the name of the option; settings that are null ask for nothing."""
    values = {key: getattr(settings, key) for key in OPTIONS}
    written = {"gpus": "gpu:{}", "warning": "USR1@{}"}
    return {
        option: written.get(key, "{}").format(values[key]) for key, option in OPTIONS.items() if values[key] is not None
    }


def require_consistent(settings: SlurmLauncher) -> None:
    """Make sure that the settings can be meant together.

    Raises:
        UserError: If they cannot.
    """
    ours = SETTINGS | _OWN
    for text in settings.sbatch:
        name = text.removeprefix("--").partition("=")[0]
        if name in ours:
            key = ours[name]
            raise UserError(
                f"launcher.sbatch: {text} is set by this program itself",
                fix=f"launcher.{key}=..." if key else "leave it out",
            )
    limit = None if settings.time is None else seconds(settings.time)
    if limit is not None and limit <= settings.warning:
        raise UserError(
            f"launcher.time={settings.time} is over when the run is told to stop, launcher.warning={settings.warning} "
            "seconds before the end",
            fix=f"a longer time, or launcher.warning={max(1, limit // 4)}",
        )


def require_together(settings: SlurmLauncher, device: Mapping[str, Any]) -> None:
    """Make sure that the processes of a job, if they are several, train one run together.

    Args:
        settings: Of the launcher.
        device: Of the run.

    Raises:
        UserError: If they do not.
    """
    number = settings.nodes * settings.processes
    if number == 1:
        return
    asked = f"launcher.nodes={settings.nodes} and launcher.processes={settings.processes} are {number} processes"
    if device["parallel"] == "none":
        raise UserError(
            f"{asked}, and device.parallel=none is for one",
            expected="device=ddp or device=fsdp, with which they train one model together",
            fix="device=ddp, or launcher.nodes=1 launcher.processes=1",
        )
    if device["processes"] not in ("auto", number):
        raise UserError(f"{asked}, and device.processes={device['processes']}", fix="device.processes=auto")


def threads(settings: SlurmLauncher, device: Mapping[str, Any]) -> int | None:
    """CPU threads of each process of a run: the processors of a task, shared by the processes that it starts itself.

    Args:
        settings: Of the launcher.
        device: Of the run.

    Returns:
        1 or more; None where the cluster decides how many processors there are.
    """
    return None if settings.cpus is None else max(1, settings.cpus // _processes_of_task(settings, device))


def _processes_of_task(settings: SlurmLauncher, device: Mapping[str, Any]) -> int:
    if device["parallel"] == "none" or settings.nodes * settings.processes > 1:
        return 1
    if device["processes"] != "auto":
        return int(device["processes"])
    if settings.gpus is None or device["kind"] not in ("auto", "cuda"):
        return 1
    return int(settings.gpus.rpartition(":")[2])


def seconds(time: str) -> int:
    """A time limit, ``02:00:00`` or ``1-12:00:00``, in seconds."""
    days, _, rest = time.rpartition("-")
    hours, minutes, secs = map(int, rest.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + secs


def environment(settings: SlurmLauncher, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for sbatch, without what would win over the settings or is of a job that this process runs in.

    Variables such as SBATCH_PARTITION win over the lines of a script. Where a setting is null they still count.
    """
    ours = (*asked_for(settings), *_OWN)
    overruling = {name for option in ours for name in _VARIABLES.get(option, (f"SBATCH_{_upper(option)}",))}
    of_a_job = {name for name in variables if name.startswith("SLURM_") and name not in _OF_THE_CLUSTER}
    return {name: value for name, value in variables.items() if name not in overruling | of_a_job}


def _upper(option: str) -> str:
    return option.replace("-", "_").upper()
