"""``hydra/sweeper=grid`` for any program that Hydra runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class GridSweeper(Sweeper):
    """Launches every combination of the values given; settings as in ``conf/hydra/sweeper/grid.yaml``."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra knows."""
        self.hydra_context, self.config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Launch all points in one batch."""
        from runner.config.sections.launching import GridSweeper as Settings
        from runner.launch.points import grid

        settings = Settings.model_validate(
            OmegaConf.to_container(OmegaConf.create({"_target_": f"{__name__}.GridSweeper", **self._settings}))
        )
        assert self.hydra_context is not None
        assert self.config is not None
        points = grid(arguments, settings, self.hydra_context.config_loader, first_seed=0)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        self.validate_batch_is_legal(points)
        returned = self._launcher.launch(points, initial_job_idx=0)
        for one in returned:
            _ = one.return_value  # raises what a job has raised
        return [returned]
