"""A sweep whose points a study chooses: its beginning, and going on with it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution

from runner.config.compose import Composed, Composer
from runner.config.paths import Places
from runner.config.sections.launching import Objective, OptunaSweeper
from runner.config.shorthand import is_of_sweeps
from runner.errors import UserError, nearest
from runner.launch import pool
from runner.launch.machine import figures
from runner.launch.points import compose_all, params, parsed
from runner.launch.spaces import Space, spaces
from runner.launch.study import Study, planned
from runner.runs.direction import direction_of
from runner.runs.sweep_directory import SweepDirectory
from runner.tracking.formatting import counted, table
from runner.trust import Trust


@dataclass(frozen=True, slots=True)
class Question:
    """What a study is asked.

    Args:
        settings: Of the sweeper.
        spaces: What is chosen from, by key.
        fixed: The overrides that all runs have.
        composer: Composes a run.
    """

    settings: OptunaSweeper
    spaces: Mapping[str, Space]
    fixed: Sequence[str]
    composer: Composer

    @classmethod
    def read(cls, composer: Composer, typed: Sequence[str], settings: OptunaSweeper) -> "Question":
        """The question in what was typed.

        Raises:
            UserErrors: If something cannot be read, or there is nothing to choose.
        """
        of_runs = [text for text in typed if not is_of_sweeps(text)]
        found, fixed = spaces(parsed([*params(settings), *of_runs], composer.files.loader))
        if not found:
            raise UserError(
                "a study has nothing to choose from",
                expected="a range or options for a key, here or in sweeper.params",
                fix="'optimizer.lr=tag(log,interval(1e-4,1e-1))' or model=mlp,lenet",
            )
        if "seed" in found and settings.seeds is not None:
            raise UserError(f"seeds={settings.seeds} and a range of seeds: a trial has several seeds, or chooses one")
        return cls(settings, found, fixed, composer)

    @classmethod
    def of(cls, made: SweepDirectory, trust: Trust) -> "Question":
        """The question of a study that was begun.

        Args:
            made: Its sweep.
            trust: Whose code the runs may name.

        Raises:
            UserErrors: If its record is damaged.
        """
        record = made.record()
        composer = Composer(kept_places(made, trust.folders))
        return cls.read(composer, record.typed, OptunaSweeper.model_validate(record.sweeper))

    @property
    def num_trials(self) -> int:
        """How many trials there are when all are complete."""
        return planned(self.settings, self._distributions)

    @property
    def num_runs(self) -> int:
        """How many runs they are."""
        return self.num_trials * (self.settings.seeds or 1)

    @property
    def _distributions(self) -> dict[str, BaseDistribution]:
        return {key: space.distribution for key, space in self.spaces.items()}

    @property
    def objectives(self) -> list[Objective]:
        """What is optimised, with the directions."""
        assert self.settings.objectives != "auto", "decided when the sweep was made"
        return self.settings.objectives

    def study(self, made: SweepDirectory) -> Study:
        """The study of a sweep that asks this."""
        return Study(made.journal, self.settings, self.objectives, self._distributions)

    @property
    def keys(self) -> list[str]:
        """What differs between the runs."""
        return [*self.spaces, *(["seed"] if self.settings.seeds is not None else [])]

    def check(self) -> list[Composed]:
        """Compose a run at every end of every range and for every option.

        Raises:
            UserErrors: With every mistake that shows there.
        """
        first = {key: space.edges()[0] for key, space in self.spaces.items()}
        points = [
            [*self.fixed, *(other.override(first[name]) for name, other in self.spaces.items() if name != key), own]
            for key, space in self.spaces.items()
            for own in map(space.override, space.edges())
        ]
        return compose_all(points, self.composer)

    def decided(self, config: Mapping[str, Any]) -> "Question":
        """The same, with what is optimised where the settings leave that to the runs.

        Args:
            config: Of one of the runs.

        Raises:
            UserError: If the runs come to no such figure, or it cannot be pruned by.
        """
        known, higher = pool.ask(figures, config)
        wanted = self.settings.objectives
        if wanted == "auto":
            monitored = Objective(metric="monitor", direction=direction_of(higher))
            return replace(self, settings=self.settings.model_copy(update={"objectives": [monitored]}))
        choices = [*known, "seconds"]
        for objective in wanted:
            is_of_a_class = objective.metric.partition("/")[2].startswith("dice_")
            if objective.metric not in choices and not is_of_a_class:
                raise UserError(
                    f"sweeper.objectives: {objective.metric} is no figure of these runs",
                    expected=", ".join(choices),
                    nearest=nearest(objective.metric, choices),
                )
        if self.settings.sampler == "cmaes" and len(wanted) > 1:
            raise UserError(
                f"sweeper.sampler=cmaes optimises one figure, and sweeper.objectives are {len(wanted)}",
                fix="sweeper.sampler=tpe",
            )
        if self.settings.pruner != "none" and (len(wanted) > 1 or not wanted[0].metric.startswith(("val/", "train/"))):
            raise UserError(
                f"sweeper.pruner={self.settings.pruner} judges by one figure that is there after every epoch",
                expected="one objective, of the training or the validation split",
                fix="sweeper.pruner=none",
            )
        return self

    def describe(self) -> str:
        """What is chosen from, as a table."""
        rows = [[key, space.describe()] for key, space in self.spaces.items()]
        return "\n".join([*table(["key", "chosen from"], rows), "", counted(self.num_runs)])


def keep_conf(made: SweepDirectory, places: Places, outputs: Path) -> None:
    """Copy the configuration files into the sweep: later points are composed from what they are now.

    Args:
        made: The sweep.
        places: Where the files are.
        outputs: Where runs land, this sweep among them. With ``--config-dir .`` that is inside, and full of YAML.
    """
    for number, folder in enumerate(places.conf_dirs):
        kept = made.path / "conf" / str(number)
        kept.mkdir(parents=True)
        for parent, folders, files in os.walk(folder, followlinks=True):
            within = [name for name in folders if not name.startswith(".")]
            folders[:] = [name for name in within if Path(parent, name).resolve() != outputs.resolve()]
            for file in (Path(parent, name) for name in files if name.endswith(".yaml") and not name.startswith(".")):
                copy = kept / file.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)


def kept_places(made: SweepDirectory, import_paths: Sequence[Any]) -> Places:
    """The configuration files that ``keep_conf`` copied."""
    folders = sorted((made.path / "conf").iterdir(), key=lambda folder: int(folder.name))
    return Places(tuple(folder.resolve() for folder in folders), tuple(import_paths))
