"""A study on the cluster: the tasks of an array are workers, and each asks the study for its next trial."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError
from runner.launch.slurm.jobs import submissions
from runner.launch.slurm.queue import how_it_is, require_states
from runner.launch.slurm.submit import submit_workers
from runner.launch.slurm.sweep import settings_of, wait_or_leave
from runner.launch.slurm.task import task_in
from runner.launch.study_sweep import Question
from runner.runs.lock import RunLock
from runner.runs.sweep_directory import SweepDirectory
from runner.tracking.formatting import counted
from runner.trust import Trust

COMMAND = "work"
_USUAL_WORKERS = 4


def launch(made: SweepDirectory, settings: SlurmLauncher, trust: Trust, trials: int) -> int:
    """Have the tasks of an array work on a study; wait for them if the settings say so.

    Args:
        made: The sweep.
        settings: Of the launcher; ``require_consistent`` has checked them.
        trust: Whose code the runs may name.
        trials: How many there are to be.

    Returns:
        0, or where the settings say to wait, the exit code of the sweep.

    Raises:
        UserError: If Slurm refuses the jobs.
    """
    with RunLock(made.path):
        _submit(made, settings, trust, range(num_workers(settings, trials)))
    return wait_or_leave(made, settings)


def resume(made: SweepDirectory, overrides: Sequence[str], trust: Trust) -> int:
    """Submit the workers of a study that are not in the queue, as far as it has trials left for them.

    Args:
        made: The sweep.
        overrides: Settings of the launcher to change.
        trust: Whose code the runs may name.

    Raises:
        UserError: If it has had no jobs, a change is refused, or Slurm refuses the jobs.
    """
    settings, trust = settings_of(made, overrides, trust)
    require_one_process(settings)
    question = Question.of(made, trust)
    trust.check(question.check()[0].config)
    with RunLock(made.path):
        study = question.study(made)
        left, busy = study.left(), _in_the_queue(made.path)
        queue = f", {counted(len(busy), 'worker')} in the queue" if busy else ""
        numbers = [number for number in range(num_workers(settings, left)) if number not in busy]
        if not numbers:
            print(f"{made.path}: nothing is left to submit{queue}")
            return 0
        for trial, number in hand_over(study.unfinished(), busy, numbers).items():
            study.give(trial, number)
        print(f"resume   {made.path}: {left} of {counted(study.planned, 'trial')} are left{queue}")
        _submit(made, settings, trust, numbers)
    return wait_or_leave(made, settings)


def require_one_process(settings: SlurmLauncher) -> None:
    """Make sure that each task is one process: it starts those of each run itself.

    Raises:
        UserError: If it is several.
    """
    if settings.nodes * settings.processes > 1:
        raise UserError(
            f"launcher.nodes={settings.nodes} and launcher.processes={settings.processes}: a worker of a study is one "
            "process on one node, and starts those of each run itself",
            fix="launcher.nodes=1 launcher.processes=1 device=ddp device.processes=N",
        )


def num_workers(settings: SlurmLauncher, trials: int) -> int:
    """How many tasks work on so many trials."""
    return min(settings.max_parallel or _USUAL_WORKERS, trials)


def hand_over(trials: Mapping[int, int | None], busy: Collection[int], numbers: Sequence[int]) -> dict[int, int]:
    """The workers that are to go on with unfinished trials which no worker would go on with.

    Args:
        trials: The unfinished trials, each with the number of its worker; None where it ended before it had said so.
        busy: The numbers of workers that are in the queue.
        numbers: Those of the workers that are about to be submitted.
    """
    orphans = [trial for trial, worker in trials.items() if worker not in busy and worker not in numbers]
    return {trial: numbers[place % len(numbers)] for place, trial in enumerate(orphans)}


def _submit(made: SweepDirectory, settings: SlurmLauncher, trust: Trust, numbers: Sequence[int]) -> None:
    task = task_in(made.path, settings, (COMMAND, str(made.path.resolve())), trust)
    job = submit_workers(made, settings, task, numbers)
    print(f"job      {job.id}, {counted(len(numbers), 'worker')}, the first is {how_it_is(f'{job.id}_{numbers[0]}')}")


def _in_the_queue(sweep: Path) -> set[int]:
    """The numbers of the workers that wait or run.

    Raises:
        UserError: If Slurm cannot be asked.
    """
    known = require_states(job.id for job in submissions(sweep))
    return {int(name.partition("_")[2]) for name, state in known.items() if "_" in name and not state.is_over}
