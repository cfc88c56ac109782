"""``hydra/launcher=local`` for any program that Hydra runs."""

from collections.abc import Sequence
from typing import Literal

from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class LocalLauncher(Launcher):
    """Runs the jobs of a sweep as processes, side by side; settings as in ``conf/hydra/launcher/local.yaml``."""

    def __init__(self, n_jobs: int | Literal["auto"], retries: int) -> None:
        self._n_jobs = n_jobs
        self._retries = retries

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra knows."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides; return what they gave, in their order."""
        from runner.launch.hydra_jobs import run_jobs

        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        configs = [self._composed(overrides, initial_job_idx + n) for n, overrides in enumerate(job_overrides)]
        return run_jobs(self._context, self._task, configs, self._n_jobs, self._retries)

    def _composed(self, overrides: Sequence[str], number: int) -> DictConfig:
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = f"job_id_for_{number}"
            config.hydra.job.num = number
        return config
