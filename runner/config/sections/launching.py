"""The settings of ``hydra.launcher`` and ``hydra.sweeper``: what chooses the runs of a sweep, and what runs them."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from runner.config.types import Count, Int, Node, Threads, Whole


class LocalLauncher(Node):
    target: Literal["hydra_plugins.runner_plugins.local_launcher.LocalLauncher"] = Field(alias="_target_")
    n_jobs: Count | Literal["auto"]
    retries: Whole


def _written(pattern: str, expected: str) -> BeforeValidator:
    """Lets only texts pass that match a pattern. Numbers are taken for texts, as an account may be called 1234."""

    def check(value: Any) -> str:
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if re.fullmatch(pattern, text) is None:
            raise PydanticCustomError("written_otherwise", "{expected}", {"expected": expected})
        return text

    return BeforeValidator(check)


Name = Annotated[str, _written(r"[^\s\"'\\#]+", "a name without blanks, quotes and backslashes")]
Time = Annotated[
    str,
    _written(
        r"(\d+-)?\d{1,2}:[0-5]\d:[0-5]\d",
        "hours:minutes:seconds or days-hours:minutes:seconds, such as 02:00:00, in a file in quotes",
    ),
]
"""What Slurm takes besides, 60 and 02:00, means minutes to it and other things to people."""
Memory = Annotated[str, _written(r"[1-9]\d*[KMGT]", "a whole number with its unit, such as 500M or 8G")]
Gpus = Annotated[str, _written(r"([\w.-]+:)?[1-9]\d*", "1 or more, or with their type, such as a100:2")]
SbatchOption = Annotated[str, _written(r"--[a-z][a-z0-9-]*(=[^\n]*)?", "options of sbatch, such as --reservation=lab")]


class SlurmLauncher(Node):
    target: Literal["hydra_plugins.runner_plugins.slurm_launcher.SlurmLauncher"] = Field(alias="_target_")
    partition: Name | None
    account: Name | None
    qos: Name | None
    nodes: Count
    processes: Count
    gpus: Gpus | None
    cpus: Threads | None
    memory: Memory | None
    time: Time | None
    constraint: Name | None
    max_parallel: Count | None
    setup: list[str]
    sbatch: list[SbatchOption]
    warning: Annotated[Int, Field(ge=1, le=65535)]
    requeues: Whole
    snapshot_code: bool
    wait: bool


class Sweeper(Node):
    """What every sweeper has."""

    params: dict[str, str | int | float | bool | list[str | int | float | bool]] | None
    seeds: Count | None


class GridSweeper(Sweeper):
    target: Literal["hydra_plugins.runner_plugins.grid_sweeper.GridSweeper"] = Field(alias="_target_")
    zip: list[Annotated[list[str], Field(min_length=2)]]


class Objective(Node):
    metric: str
    direction: Literal["maximize", "minimize"]


class OptunaSweeper(Sweeper):
    target: Literal["hydra_plugins.runner_plugins.optuna_sweeper.OptunaSweeper"] = Field(alias="_target_")
    n_trials: Count
    sampler: Literal["tpe", "random", "grid", "cmaes", "gp"]
    sampler_seed: Whole | None
    startup_trials: Whole
    pruner: Literal["none", "median", "asha", "hyperband"]
    prune_after: Count
    objectives: Literal["auto"] | Annotated[list[Objective], Field(min_length=1)]


AnyLauncher = Annotated[LocalLauncher | SlurmLauncher, Field(discriminator="target")]
AnySweeper = Annotated[GridSweeper | OptunaSweeper, Field(discriminator="target")]


class Launching(Node):
    """How a sweep is made and run."""

    launcher: AnyLauncher
    sweeper: AnySweeper


class OfHydra(Node):
    """Where these settings stand."""

    hydra: Launching


class LauncherAlone(Node):
    """What of them can change when runs are launched again."""

    launcher: AnyLauncher


class LauncherOfHydra(Node):
    """Where that stands."""

    hydra: LauncherAlone
