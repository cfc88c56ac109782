"""One run on the cluster: composed and frozen here, or frozen before, and executed by a job."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.config.amend import amend, amended
from runner.config.compose import Composer
from runner.config.launching import slurm_launcher
from runner.config.paths import Places
from runner.config.sections.launching import SlurmLauncher
from runner.config.shorthand import is_of_sweeps, written_out
from runner.launch.local import with_threads
from runner.launch.single import freeze, nothing_left, place_of
from runner.launch.slurm.again import settings_again
from runner.launch.slurm.client import require_slurm
from runner.launch.slurm.jobs import Job, Jobs
from runner.launch.slurm.options import require_consistent, require_together, threads
from runner.launch.slurm.submit import require_not_queued, script_of_run, submit_run
from runner.launch.slurm.task import task_in, typed_trust
from runner.runs.directory import RunDirectory
from runner.runs.files import write_atomic
from runner.runs.lock import RunLock
from runner.runs.rebuild import read_status
from runner.runs.sweep_directory import SweepDirectory
from runner.trust import Trust

COMMAND = ("resume",)
"""What a job does with a run directory: what anybody can do with one."""


class NewRun:
    """A run that is composed here and submitted.

    Args:
        composer: Of the command.
        typed: All overrides.

    Raises:
        UserErrors: If anything is wrong; nothing is written then.
    """

    def __init__(self, composer: Composer, typed: Sequence[str]) -> None:
        composed = composer.compose([text for text in typed if not is_of_sweeps(text)])
        self.settings = slurm_launcher(composer, typed)
        require_consistent(self.settings)
        require_together(self.settings, composed.config["device"])
        self._composed = with_threads(composed, threads(self.settings, composed.config["device"]))
        self._places = composer.places

    def script(self) -> str:
        """The script that would be submitted."""
        config = self._composed.config
        task = task_in(place_of(config), self.settings, COMMAND, self._trust(), copy=False)
        return script_of_run(place_of(config), config, self.settings, task).text()

    def submit(self) -> tuple[RunDirectory, Job]:
        """Make the run directory and submit it.

        Raises:
            UserError: If there is no Slurm here, or it refuses the job; nothing is left behind then.
        """
        require_slurm()
        run = freeze(self._composed)
        try:
            return run, submit_run(run, self.settings, task_in(run.path, self.settings, COMMAND, self._trust()))
        except Exception:
            shutil.rmtree(run.path)
            raise

    def _trust(self) -> Trust:
        return typed_trust(self._places, [self._composed.config])


class OldRun:
    """A run that is there already, submitted before or not, and goes on as another job.

    Args:
        run: The run.
        overrides: Settings to change: of the launcher, and those that ``runner resume`` may change.
        trust: What the user trusts.

    Raises:
        UserError: If it is complete, a change is refused, or it names code that is not trusted.
    """

    def __init__(self, run: RunDirectory, overrides: Sequence[str], trust: Trust) -> None:
        of_launcher = [text for text, long in zip(overrides, written_out(overrides), strict=True) if is_of_sweeps(long)]
        self._run = run
        self._changes = [text for text in overrides if text not in of_launcher]
        if not self._changes and (status := read_status(run)).state == "completed":
            raise nothing_left(run, status, "submit")
        self._config = amended(run, self._changes)
        sweep = SweepDirectory.of_run(run.path)
        jobs = Jobs.of(run.path) or (Jobs.of(sweep.path) if sweep else None)
        if jobs is None:
            self.settings = slurm_launcher(Composer(Places.find(None, Path.cwd())), written_out(of_launcher))
        else:
            self.settings, trust = settings_again(jobs, of_launcher, trust)
        require_consistent(self.settings)
        require_together(self.settings, self._config["device"])
        trust.check(self._config, run.path)
        self._trust = trust

    def script(self) -> str:
        """The script that would be submitted."""
        task = task_in(self._run.path, self.settings, COMMAND, self._trust, copy=False)
        return script_of_run(self._run.path, self._config, self.settings, task).text()

    def submit(self) -> tuple[RunDirectory, Job]:
        """Change what is to be changed, and submit it.

        Raises:
            UserError: If it is being executed or in the queue, or Slurm refuses the job; nothing is changed then.
        """
        run = self._run
        require_not_queued(run)
        task = task_in(run.path, self.settings, COMMAND, self._trust)
        with RunLock(run.path):  # the job that finds it executed by another process would fail
            before = {file: file.read_bytes() for file in (run.overrides_file, run.config_file)}
            if self._changes:
                amend(run, self._changes, lambda config: None)
        try:  # changed by now, as the job may start at once
            return run, submit_run(run, self.settings, task)
        except Exception:
            for file, content in before.items():
                write_atomic(file, content)
            raise


def remarks(config: Mapping[str, Any], settings: SlurmLauncher) -> list[str]:
    """What may be not as it was meant.

    Args:
        config: Of the run.
        settings: Of its job.
    """
    kind = config["device"]["kind"]
    asked = settings.gpus is not None or any("gpu" in text or "gres" in text for text in settings.sbatch)
    return [] if kind != "cuda" or asked else [f"device={kind}, but the job asks for no GPU: launcher.gpus=1"]
