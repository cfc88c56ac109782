"""How many runs go side by side, and what of the machine is each one's own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_MOST_ON_CPU = 8
"""Runs at a time when nobody says: each holds its own data in memory."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The share that each run of a sweep has.

    Args:
        variables: For each run at a time, the variables of the environment that are its own.
        threads: CPU threads of each.
    """

    variables: tuple[Mapping[str, str], ...]
    threads: int

    def describe(self) -> str:
        """``2 at a time, 1 thread each``."""
        count = len(self.variables)
        gpus = {text for one in self.variables if (text := one.get("CUDA_VISIBLE_DEVICES"))}
        devices = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}, " if gpus else ""
        return f"{count} at a time, {devices}{self.threads} thread{'s' * (self.threads > 1)} each"


def divide(
    n_jobs: int | Literal["auto"], num_runs: int, devices: Sequence[Mapping[str, Any]], gpus: Sequence[str], cpus: int
) -> Slots:
    """Divide the machine among runs.

    Each GPU has one run at a time, unless there shall be more runs than GPUs: then they share them evenly.

    Args:
        n_jobs: Runs at a time; ``auto``: one for each GPU, or on the CPU one for each processor, 8 at the most.
        num_runs: How many there are to come: slots that nothing would fill are not made.
        devices: The ``device`` nodes of the runs' configurations.
        gpus: The names of the GPUs, as ``CUDA_VISIBLE_DEVICES`` has them.
        cpus: Processors that this program may keep busy.
    """
    on_gpus = bool(gpus) and any(device["kind"] in ("auto", "cuda") for device in devices)
    most = n_jobs if n_jobs != "auto" else len(gpus) if on_gpus else min(cpus, _MOST_ON_CPU)
    count = max(1, min(most, num_runs))
    own = [{"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if on_gpus else {} for slot in range(count)]
    return Slots(tuple(own), max(1, cpus // count))


def visible_gpus(count: int) -> list[str]:
    """The names of so many GPUs: what this process was given, or their numbers."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in given.split(",")] if given is not None else [str(n) for n in range(count)]
    return [name for name in names if name][:count]
