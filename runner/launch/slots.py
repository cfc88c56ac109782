"""How many runs go side by side, and what of the machine is each one's own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runner.config.fit_device import too_few_gpus
from runner.config.types import MOST_THREADS

_MOST_ON_CPU = 8
"""Runs at a time when nobody says: each holds its own data in memory."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The share that each run of a sweep has.

    Args:
        variables: For each run at a time, the variables of the environment that are its own.
        threads: CPU threads of each of its processes.
        processes: That train a run together.
    """

    variables: tuple[Mapping[str, str], ...]
    threads: int
    processes: int = 1

    def describe(self) -> str:
        """``2 at a time, 1 thread each``."""
        count = len(self.variables)
        gpus = {name for one in self.variables for name in one.get("CUDA_VISIBLE_DEVICES", "").split(",") if name}
        devices = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}, " if gpus else ""
        processes = f" of {self.processes} processes" if self.processes > 1 else ""
        return f"{count} at a time{processes}, {devices}{self.threads} thread{'s' * (self.threads > 1)} each"


def divide(
    n_jobs: int | Literal["auto"], num_runs: int, devices: Sequence[Mapping[str, Any]], gpus: Sequence[str], cpus: int
) -> Slots:
    """Divide the machine among runs.

    Each GPU has one run at a time, or one process of a run of several, unless there shall be more of them than GPUs:
    then they share them evenly.

    Args:
        n_jobs: Runs at a time; ``auto``: one for each GPU, or on the CPU one for each processor, 8 at the most; of runs
            of several processes, as many fewer.
        num_runs: How many there are to come: slots that nothing would fill are not made.
        devices: The ``device`` nodes of the runs' configurations.
        gpus: The names of the GPUs, as ``CUDA_VISIBLE_DEVICES`` has them.
        cpus: Processors that this program may keep busy.

    Raises:
        UserError: If a run has more processes than there are GPUs.
    """
    on_gpus = bool(gpus) and any(device["kind"] in ("auto", "cuda") for device in devices)
    processes = max(map(_processes, devices), default=1)
    if on_gpus and processes > len(gpus):
        raise too_few_gpus(processes, len(gpus))
    room = len(gpus) // processes if on_gpus else max(1, min(cpus, _MOST_ON_CPU) // processes)
    count = max(1, min(room if n_jobs == "auto" else n_jobs, num_runs))
    groups = [",".join(gpus[place * processes :][:processes]) for place in range(room)] if on_gpus else []
    own = [{"CUDA_VISIBLE_DEVICES": groups[slot % room]} if on_gpus else {} for slot in range(count)]
    return Slots(tuple(own), max(1, min(cpus // (count * processes), MOST_THREADS)), processes)


def _processes(device: Mapping[str, Any]) -> int:
    """How many processes a run says that it has; with ``auto`` they are as many as the GPUs that it is given: one."""
    number = device.get("processes", 1)
    return number if isinstance(number, int) and device.get("parallel", "none") != "none" else 1


def visible_gpus(count: int) -> list[str]:
    """The names of so many GPUs: what this process was given, or their numbers."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in given.split(",")] if given is not None else [str(n) for n in range(count)]
    return [name for name in names if name][:count]
