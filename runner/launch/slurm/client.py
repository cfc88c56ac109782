"""Slurm's own commands, called and read."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from runner.errors import UserError

_PATIENCE_S = 60


class SlurmError(Exception):
    """A command of Slurm that failed; the text is what it said."""


def call(command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    """What a command prints.

    Args:
        command: Its name and its arguments.
        variables: The environment; None: this process's, without what filters or formats the answers.

    Raises:
        SlurmError: If it fails, or does not answer within a minute.
        UserError: If it is not installed.
    """
    try:
        done = subprocess.run(
            command,
            env=_plain() if variables is None else dict(variables),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
        )
    except FileNotFoundError:
        raise UserError(
            f"{command[0]} was not found: this machine has no Slurm",
            expected="a login node of the cluster, where sbatch and squeue are commands",
            fix="runner train trains here; scripts/slurm-sandbox makes a cluster to try things on",
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]} did not answer within {_PATIENCE_S} s") from None
    if done.returncode != 0:
        raise SlurmError(done.stderr.strip() or f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout


def _plain() -> dict[str, str]:
    filters = ("SQUEUE_", "SACCT_", "SCONTROL_", "SCANCEL_", "SINFO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(filters)}


def require_slurm() -> None:
    """Make sure that jobs can be submitted from here.

    Raises:
        UserError: If there is no Slurm on this machine, or it does not answer.
    """
    try:
        call(["sbatch", "--version"])
    except SlurmError as error:
        raise UserError(f"Slurm cannot be used from here: {error}") from None
