"""The settings of ``hydra.launcher`` and ``hydra.sweeper``: what chooses the runs of a sweep, and what runs them."""

from typing import Annotated, Literal

from pydantic import Field

from runner.config.types import Count, Node, Whole


class LocalLauncher(Node):
    target: Literal["hydra_plugins.runner_plugins.local_launcher.LocalLauncher"] = Field(alias="_target_")
    n_jobs: Count | Literal["auto"]
    retries: Whole


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


AnyLauncher = LocalLauncher
AnySweeper = Annotated[GridSweeper | OptunaSweeper, Field(discriminator="target")]


class Launching(Node):
    """How a sweep is made and run."""

    launcher: AnyLauncher
    sweeper: AnySweeper


class OfHydra(Node):
    """Where these settings stand."""

    hydra: Launching
