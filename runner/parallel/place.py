"""Which of several processes that were started together this is, as whoever started them says in the environment."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runner.errors import UserError

QUIET = ("TORCH_CPP_LOG_LEVEL", "ERROR")
"""A variable that keeps torch from warning of what cannot be otherwise, if it is set before torch is imported."""
_FIRST_PORT, _NUM_PORTS = 10_000, 20_000
"""Below those that systems hand out to whoever asks for any."""


@dataclass(frozen=True, slots=True)
class Place:
    """One of the processes that make one run.

    Args:
        rank: Which one, counted from 0.
        world_size: How many there are.
        address: The host, by name or number, on which they find each other.
        port: On that host.
        starter: What has started them, in words.
    """

    rank: int
    world_size: int
    address: str
    port: int
    starter: str


def find_place(env: Mapping[str, str] = os.environ) -> Place | None:
    """The place that ``torchrun``, or ``srun`` with several tasks, has given this process; None where neither did.

    Raises:
        UserError: If what they say is not complete.
    """
    if "RANK" in env and "WORLD_SIZE" in env:
        rank, size = _number(env, "RANK"), _number(env, "WORLD_SIZE")
        if size == 1:  # nobody to be found
            return Place(rank, size, "", 0, "torchrun")
        return Place(rank, size, _named(env, "MASTER_ADDR"), _number(env, "MASTER_PORT"), "torchrun")
    if "SLURM_PROCID" not in env or _is_batch_script(env):
        return None
    tasks = _number(env, "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in env else "SLURM_NTASKS")
    if tasks == 1:
        return None
    lists = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
    nodes = next((env[name] for name in lists if env.get(name)), "")
    address = env.get("MASTER_ADDR") or next(hosts(nodes), None) or _named(env, "MASTER_ADDR")
    port = _number(env, "MASTER_PORT") if env.get("MASTER_PORT") else _port_of_step(env)
    return Place(_number(env, "SLURM_PROCID"), tasks, address, port, "srun")


def _is_batch_script(env: Mapping[str, str]) -> bool:
    """Whether this is the script of a job itself, which Slurm gives the number 0 too, and not one of its tasks."""
    return env.get("ENVIRONMENT") == "BATCH" and "SLURM_STEP_ID" not in env


def _port_of_step(env: Mapping[str, str]) -> int:
    """The same for all tasks of a job step, and another one for the next step."""
    return _FIRST_PORT + (_number(env, "SLURM_JOB_ID") * 37 + int(env.get("SLURM_STEP_ID", 0))) % _NUM_PORTS


def _named(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise UserError(
            f"{name} is not set, though this is one of several processes that were started together",
            expected="RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them, or the variables of srun",
        )
    return env[name]


def _number(env: Mapping[str, str], name: str) -> int:
    text = _named(env, name)
    if not text.isdecimal():
        raise UserError(f"{name}={text} in the environment is not a whole number")
    return int(text)


def hosts(compressed: str) -> Iterator[str]:
    """The hosts of a list as Slurm writes it: ``node[01-03,07],login`` is node01, node02, node03, node07, login."""
    for entry in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", compressed):
        parts = re.split(r"\[([^\]]*)\]", entry)  # what stands between brackets comes at odd places
        choices = [list(_numbers(part)) if place % 2 else [part] for place, part in enumerate(parts)]
        yield from map("".join, itertools.product(*choices))


def _numbers(ranges: str) -> Iterator[str]:
    """``01-03,07`` as 01, 02, 03, 07."""
    for one in ranges.split(","):
        first, _, last = one.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield f"{number:0{len(first)}}"
