"""The runs of a sweep on the cluster: submitted and left to it, or waited for."""

from collections.abc import Collection, Sequence

from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError
from runner.launch.ending import conclude
from runner.launch.slurm.again import settings_again
from runner.launch.slurm.jobs import Job, Jobs
from runner.launch.slurm.options import require_consistent, require_together
from runner.launch.slurm.queue import how_it_is
from runner.launch.slurm.single import COMMAND
from runner.launch.slurm.submit import left, submit_sweep
from runner.launch.slurm.task import task_in
from runner.launch.slurm.wait import wait_for_sweep
from runner.launch.view import SweepView
from runner.runs.lock import RunLock
from runner.runs.rebuild import read_status
from runner.runs.status import OVER
from runner.runs.sweep_directory import SweepDirectory
from runner.tracking.formatting import counted
from runner.training.signals import StopRequest
from runner.trust import Trust
from runner.typed import typed


def launch(made: SweepDirectory, settings: SlurmLauncher, trust: Trust, numbers: Collection[int]) -> int:
    """Have runs of a sweep executed by the tasks of an array; wait for them if the settings say so.

    Args:
        made: The sweep, whose run directories are frozen.
        settings: Of the launcher; ``require_consistent`` has checked them.
        trust: Whose code the runs may name.
        numbers: Of the runs.

    Returns:
        0, or where the settings say to wait, the exit code of the sweep.

    Raises:
        UserError: If Slurm refuses the jobs.
    """
    with RunLock(made.path):
        _submit(made, settings, trust, numbers)
    return wait_or_leave(made, settings)


def resume(made: SweepDirectory, overrides: Sequence[str], trust: Trust) -> int:
    """Submit the runs of a sweep that are neither over nor in the queue; give the exit code as ``launch`` does.

    Args:
        made: A sweep.
        overrides: Settings of the launcher to change.
        trust: Whose code the runs may name.

    Raises:
        UserError: If it has had no jobs, a change is refused, or Slurm refuses the jobs.
    """
    settings, trust = settings_of(made, overrides, trust)
    with RunLock(made.path):
        runs, numbers = made.runs(), left(made)
        waiting = sum(read_status(run).state not in OVER for run in runs.values()) - len(numbers)
        queue = f", {counted(waiting)} in the queue" if waiting else ""
        if not numbers:
            print(f"{made.path}: nothing is left to submit{queue}")
            return 0
        for number in numbers:
            require_together(settings, runs[number].config()["device"])
            trust.check(runs[number].config(), runs[number].path)
        print(f"resume   {made.path}: {len(numbers)} of {counted(made.record().planned)} are left{queue}")
        _submit(made, settings, trust, numbers)
    return wait_or_leave(made, settings)


def settings_of(made: SweepDirectory, overrides: Sequence[str], trust: Trust) -> tuple[SlurmLauncher, Trust]:
    """The settings for submitting a sweep once more, and whose code its runs may name.

    Raises:
        UserError: As for ``resume``.
    """
    jobs = Jobs.of(made.path)
    if jobs is None:
        raise UserError(f"{made.path} was never submitted: it has no jobs.json", expected="what runner train -m made")
    settings, trust = settings_again(jobs, overrides, trust)
    require_consistent(settings)
    return settings, trust


def _submit(made: SweepDirectory, settings: SlurmLauncher, trust: Trust, numbers: Collection[int]) -> None:
    task = task_in(made.path, settings, COMMAND, trust)
    submitted = 0
    try:
        for job in submit_sweep(made, settings, task, numbers):
            submitted += len(job.tasks or ())
            print(f"job      {job.id}, {_told(job)}")
    except UserError:
        if submitted:
            rest = typed("runner", "resume", made.path)
            print(f"submitted {submitted} of {counted(len(numbers))}, and no more; later on, the rest: {rest}")
        raise


def wait_or_leave(made: SweepDirectory, settings: SlurmLauncher) -> int:
    """Wait for the jobs of a sweep if the settings say so; the exit code."""
    if not settings.wait:
        print(f"follow   {typed('runner', 'ls', made.path)}, {typed('runner', 'logs', made.path, '-f')}")
        return 0
    unfinished = wait_for_sweep(made, SweepView.of(made))
    return conclude(made, StopRequest()) or unfinished


def _told(job: Job) -> str:
    first = min(job.tasks or [0])
    return f"{counted(len(job.tasks or ()))}, the first is {how_it_is(f'{job.id}_{first}')}"
