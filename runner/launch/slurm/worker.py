"""What a task of an array does that works for a study: it asks for a trial and trains it, until there are no more.

A task has the trials that the tasks of the same number have asked for, in this attempt, in earlier ones and in arrays
before: what it finds unfinished of them is its own, and nobody else goes on with it.
"""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from runner.config.compose import Composed
from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError
from runner.launch import child
from runner.launch.local import with_threads
from runner.launch.pool import Job
from runner.launch.slurm import jobs
from runner.launch.slurm.jobs import Jobs
from runner.launch.slurm.options import threads
from runner.launch.study_sweep import Question
from runner.launch.trials import Trials
from runner.launch.view import SweepView
from runner.launch.work import Runs
from runner.runs.attempt import this_attempt
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock
from runner.runs.rebuild import read_status
from runner.runs.status import now
from runner.runs.sweep_directory import SweepDirectory
from runner.training.signals import StopRequest, stop_signals
from runner.trust import Trust
from runner.typed import typed

_LOOK_EVERY_S = 0.5


def work(made: SweepDirectory, trust: Trust, variables: Mapping[str, str] = os.environ) -> int:
    """Train trials until the study is complete or a stop is requested.

    Args:
        made: The sweep.
        trust: Whose code the runs may name.
        variables: The environment, from which Slurm tells which task this is.

    Returns:
        75 if it was stopped; 1 if a trial failed; else 0.

    Raises:
        UserError: If this is no task of an array.
        LostLockError: If a newer attempt of the task has begun.
    """
    attempt, number = this_attempt(variables), variables.get("SLURM_ARRAY_TASK_ID")
    if attempt is None or number is None:
        raise UserError(
            "runner work is done by the tasks of an array", fix=f"{typed('runner', 'resume', made.path)} submits them"
        )
    stop, folder = StopRequest(), made.path / "workers" / number
    folder.mkdir(parents=True, exist_ok=True)
    with stop.listening(*stop_signals()), RunLock(folder, attempt) as lock:
        view = SweepView.of(made)
        trust.make_importable()
        runs = Runs(_trials(made, trust, view, int(number)), trust, 0, view, stop)
        failed = False
        while not stop.requested and (job := runs.take()) is not None:
            path = job.args[0]
            _note(path, made.path, attempt.job)
            exit_code = _executed(job, stop)
            lock.check()
            runs.ended(job, exit_code)
            failed |= read_status(RunDirectory(path)).state == "failed"
    return stop.exit_code if stop.requested else int(failed)


def _trials(made: SweepDirectory, trust: Trust, view: SweepView, number: int) -> Trials:
    launcher = SlurmLauncher.model_validate(made.record().launcher)

    def frozen(one: Composed) -> Composed:
        return with_threads(one, threads(launcher, one.config["device"]))

    return Trials(made, Question.of(made, trust), frozen, view.say, number)


def _note(run: Path, sweep: Path, job: str) -> None:
    """Write down which job executes a run, for those who look at the run."""
    if (one := jobs.newest([run]).get(run)) is None or one.name != job:
        of_sweep = Jobs.of(sweep)
        settings, code = (of_sweep.settings, of_sweep.code) if of_sweep else ({}, ())
        Jobs.note(run, settings, map(Path, code), jobs.Job(job, now()))


def _executed(job: Job, stop: StopRequest) -> int:
    """The exit code of a process for a job; a negative one is the signal that killed it.

    Slurm tells every process that it must stop, this one and the other. Where only this one is told, it passes that on.
    The other then takes as long for its checkpoint as Slurm leaves to both.
    """
    surroundings = child.Surroundings(Path.cwd(), dict(os.environ), job.output)
    process = multiprocessing.get_context("spawn").Process(target=child.run, args=(surroundings, job.target, job.args))
    process.start()
    was_told = False
    while process.exitcode is None:
        process.join(_LOOK_EVERY_S)
        if stop.requested and not was_told and process.pid is not None and process.exitcode is None:
            os.kill(process.pid, signal.SIGTERM)
            was_told = True
    return process.exitcode
