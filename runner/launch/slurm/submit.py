"""Submitting run directories: one as a job, those of a sweep as tasks of an array."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError
from runner.launch.slurm.client import SlurmError, call
from runner.launch.slurm.jobs import Job, Jobs, newest
from runner.launch.slurm.options import environment
from runner.launch.slurm.queue import JobState, require_states
from runner.launch.slurm.refusal import refusal
from runner.launch.slurm.script import Script
from runner.launch.slurm.task import Task
from runner.runs.directory import RunDirectory, plain_name
from runner.runs.files import write_atomic
from runner.runs.rebuild import read_status
from runner.runs.status import OVER, now
from runner.runs.sweep_directory import SweepDirectory
from runner.typed import typed

_USUAL_MOST = 1001  # tasks of an array, unless the cluster says otherwise


def script_of_run(run: Path, config: Mapping[str, Any], settings: SlurmLauncher, task: Task) -> Script:
    """The script of a job that executes one run directory.

    Args:
        run: The directory, which need not be there yet.
        config: Its configuration, whose name is that of the job in the queue.
        settings: Of the launcher.
        task: What the job does.
    """
    run = run.resolve()
    name, output = plain_name(str(config["name"])), _literal(run / "output.log")
    return Script(settings, name, task, run / "job.sbatch", output, runs=run)


def submit_run(run: RunDirectory, settings: SlurmLauncher, task: Task) -> Job:
    """Have a run directory executed by a job; the job, which is noted in the directory.

    Raises:
        UserError: If Slurm refuses it; the directory is left as it was, but for the script.
    """
    return _submit(run.path, script_of_run(run.path, run.config(), settings, task), None)


def require_not_queued(run: RunDirectory) -> None:
    """Make sure that no job of a run waits or runs.

    Raises:
        UserError: If one does, or Slurm cannot be asked.
    """
    for state in queued([run.path]).values():
        raise UserError(
            f"{run.path} is in the queue already: job {state.name} is {state.told()}",
            fix=typed("runner", "cancel", run.path),
        )


def submit_sweep(made: SweepDirectory, settings: SlurmLauncher, task: Task, numbers: Collection[int]) -> Iterator[Job]:
    """Have runs of a sweep executed by the tasks of an array, or of several where one cannot have so many.

    Each job is given as soon as it is submitted: Slurm may refuse the next.

    Args:
        made: The sweep, with its run directories.
        settings: Of the launcher.
        task: What each task does: the run directory is added to its command.
        numbers: Of the runs; see ``left``.

    Raises:
        UserError: If Slurm refuses it. What it took before that is noted.
    """
    runs = {number: run.path.resolve() for number, run in made.runs().items() if number in numbers}
    most = _USUAL_MOST if max(runs) < _USUAL_MOST else _most_tasks()
    if max(runs) < most:
        arrays = [{number: number for number in runs}]
    else:
        ordered = sorted(runs)
        parts = [ordered[start : start + most] for start in range(0, len(ordered), most)]
        arrays = [dict(enumerate(part)) for part in parts]
    settings = _shared(settings, len(arrays))
    for number, tasks in enumerate(arrays):
        script = _array(made, settings, task, number, {t: runs[run] for t, run in tasks.items()})
        yield _submit(made.path, script, tasks)


def submit_workers(made: SweepDirectory, settings: SlurmLauncher, task: Task, numbers: Sequence[int]) -> Job:
    """Have the tasks of an array work for a sweep, each finding for itself what there is to do.

    Args:
        made: The sweep.
        settings: Of the launcher.
        task: What each does.
        numbers: Of the tasks, ascending.

    Raises:
        UserError: If Slurm refuses it.
    """
    return _submit(made.path, _array(made, settings, task, 0, None, numbers), {})


def left(made: SweepDirectory) -> list[int]:
    """The numbers of the runs of a sweep that are neither over nor in the queue.

    Raises:
        UserError: If Slurm cannot be asked.
    """
    runs = {n: run.path for n, run in made.runs().items() if read_status(run).state not in OVER}
    busy = queued(runs.values())
    return [number for number, path in runs.items() if path not in busy]


def queued(runs: Collection[Path]) -> dict[Path, JobState]:
    """Those of some runs whose job waits or runs.

    Raises:
        UserError: If Slurm cannot be asked.
    """
    jobs = newest(runs)
    known = require_states(job.name for job in jobs.values())
    return {run: known[job.name] for run, job in jobs.items() if job.name in known and not known[job.name].is_over}


def _array(
    made: SweepDirectory,
    settings: SlurmLauncher,
    task: Task,
    number: int,
    runs: Mapping[int, Path] | None,
    tasks: Sequence[int] = (),
) -> Script:
    folder = made.path.resolve() / "slurm"
    folder.mkdir(exist_ok=True)
    file = folder / ("array.sbatch" if number == 0 else f"array-{number + 1}.sbatch")
    return Script(settings, "sweep", task, file, f"{_literal(folder)}/%A_%a.log", runs=runs, tasks=tasks)


def _submit(directory: Path, script: Script, tasks: dict[int, int] | None) -> Job:
    write_atomic(script.file, script.text().encode())
    try:
        answer = call(["sbatch", "--parsable", str(script.file)], environment(script.settings))
    except SlurmError as error:
        raise refusal(error, script.settings) from None
    job = Job(answer.strip().partition(";")[0], now(), tasks)
    Jobs.note(directory, script.settings.model_dump(by_alias=True), script.task.code, job)
    return job


def _shared(settings: SlurmLauncher, arrays: int) -> SlurmLauncher:
    """The settings of each of several arrays that keep to ``max_parallel`` together."""
    if settings.max_parallel is None:
        return settings
    return settings.model_copy(update={"max_parallel": max(1, settings.max_parallel // arrays)})


def _most_tasks() -> int:
    """How many tasks an array of this cluster can have; their numbers are smaller than that."""
    try:
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call(["scontrol", "show", "config"]), re.M)
    except SlurmError:
        found = None
    return int(found[1]) if found else _USUAL_MOST


def _literal(path: Path) -> str:
    """A path as a pattern of Slurm that stands for nothing but itself."""
    return str(path).replace("%", "%%")
