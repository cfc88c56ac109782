"""``hydra/sweeper=optuna`` for any program that Hydra runs: its task gives the value, or the values, to optimise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class OptunaSweeper(Sweeper):
    """Launches the points that a study chooses; settings as in ``conf/hydra/sweeper/optuna.yaml``.

    Hydra launches in batches, here as many jobs as the launcher runs at a time. What a task gives is minimised, unless
    ``objectives`` say otherwise, of which the directions count. Seeds and pruners are for runner's own runs.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra knows."""
        self.hydra_context, self.config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Launch trials until the study has as many as it is to have; without anything to choose, one."""
        from runner.config.sections.launching import Objective
        from runner.config.sections.launching import OptunaSweeper as Settings
        from runner.launch.points import params, parsed
        from runner.launch.spaces import spaces
        from runner.launch.study import Study

        assert self.hydra_context is not None
        assert self.config is not None
        settings = Settings.model_validate(
            OmegaConf.to_container(OmegaConf.create({"_target_": f"{__name__}.OptunaSweeper", **self._settings}))
        )
        chosen, fixed = spaces(parsed([*params(settings), *arguments], self.hydra_context.config_loader))
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        if not chosen:
            return [self._launched([fixed], 0)]
        wanted = settings.objectives
        objectives = [Objective(metric="task", direction="minimize")] if wanted == "auto" else wanted
        distributions = {key: space.distribution for key, space in chosen.items()}
        study = Study(folder / "study.journal", settings, objectives, distributions)
        returned: list[Sequence[JobReturn]] = []
        size = self._at_a_time()
        while trials := [trial for trial in (study.ask() for _ in range(size)) if trial is not None]:
            points = [[*fixed, *(chosen[key].override(value) for key, value in one.params.items())] for one in trials]
            returned.append(self._launcher.launch(points, initial_job_idx=trials[0].number))
            for trial, job in zip(trials, returned[-1], strict=True):
                if job.status is JobStatus.COMPLETED:
                    values = job.return_value
                    study.tell(trial.number, values if isinstance(values, Sequence) else [float(values)])
                else:
                    study.fail(trial.number)
        return returned

    def _at_a_time(self) -> int:
        """How many jobs the launcher runs at a time; with auto or -1, as many as there is room for."""
        from runner.launch.hydra_jobs import at_a_time

        assert self.config is not None
        number = self.config.hydra.launcher.get("n_jobs", 1)
        return number if isinstance(number, int) and number > 0 else at_a_time()

    def _launched(self, points: list[list[str]], first: int) -> Sequence[JobReturn]:
        returned = self._launcher.launch(points, initial_job_idx=first)
        for one in returned:
            _ = one.return_value  # raises what a job has raised
        return returned
