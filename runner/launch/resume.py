"""``runner resume SWEEP_DIR``: what is over is left alone, what is half done goes on, what was not begun begins."""

import time
from collections.abc import Sequence

from runner.config.relaunch import relaunching
from runner.config.sections.launching import LocalLauncher
from runner.errors import UserError
from runner.launch import pool
from runner.launch.child import GRACE_S
from runner.launch.ending import conclude
from runner.launch.local import run_here, share_out, with_threads
from runner.launch.view import SweepView
from runner.launch.work import AllAtOnce
from runner.runs.lock import RunLock, is_held
from runner.runs.rebuild import read_status
from runner.runs.status import OVER
from runner.runs.sweep_directory import SweepDirectory, SweepRecord
from runner.tracking.formatting import counted
from runner.trust import Trust

_LATE_S = 3.0
_LOOK_EVERY_S = 0.1


def resume_sweep(made: SweepDirectory, overrides: Sequence[str], trust: Trust) -> int:
    """Go on with a sweep; give the exit code.

    Args:
        made: The sweep.
        overrides: Settings of the launcher to change, such as ``n_jobs=4``.
        trust: Whose code the runs may name.

    Raises:
        UserError: If something else shall be changed, or another process runs the sweep.
    """
    record = made.record()
    if record.launcher["_target_"].endswith(".SlurmLauncher"):
        if record.points is None:
            from runner.launch.slurm import study

            return study.resume(made, overrides, trust)
        from runner.launch.slurm import sweep

        return sweep.resume(made, overrides, trust)
    launcher = relaunching(record.launcher, overrides)
    assert isinstance(launcher, LocalLauncher)
    trust.make_importable()
    with RunLock(made.path):
        _wait_for_orphans(made)
        if record.points is None:
            return _resume_study(made, record, launcher, trust)
        return _resume_grid(made, record, launcher, trust)


def _wait_for_orphans(made: SweepDirectory) -> None:
    """Return when nobody executes a run of the sweep: runs whose sweep was killed notice, save and end within seconds.

    Raises:
        UserError: If somebody goes on with one.
    """
    until = time.monotonic() + GRACE_S + _LATE_S
    while held := [run.path for run in made.runs().values() if is_held(run.path)]:
        if time.monotonic() >= until:
            raise UserError(f"{held[0]} is being executed by another process", fix="wait for it, or stop it")
        time.sleep(_LOOK_EVERY_S)


def _resume_grid(made: SweepDirectory, record: SweepRecord, launcher: LocalLauncher, trust: Trust) -> int:
    runs = made.runs()
    waiting = [run for run in runs.values() if read_status(run).state not in OVER]
    if not waiting:
        gone = record.planned - len(runs)
        _say_complete(made, counted(record.planned) + (f", {gone} of them removed" if gone else ""))
        return 0
    pool.warm_up()
    configs = [run.config() for run in waiting]
    for run, config in zip(waiting, configs, strict=True):
        trust.check(config, run.path)
    slots = share_out(launcher.n_jobs, len(waiting), [config["device"] for config in configs])
    print(f"resume   {made.path}: {len(waiting)} of {record.planned} runs are left, {slots.describe()}", flush=True)
    return conclude(made, run_here(AllAtOnce(waiting), slots, launcher.retries, trust, SweepView.of(made)))


def _resume_study(made: SweepDirectory, record: SweepRecord, launcher: LocalLauncher, trust: Trust) -> int:
    from runner.launch.study_sweep import Question
    from runner.launch.trials import Trials

    question = Question.of(made, trust)
    settings, study = question.settings, question.study(made)
    left, planned = study.left(), counted(study.planned, "trial")
    if not left:
        failed = study.num_failed()
        _say_complete(made, planned + (f", {failed} of them failed" if failed else ""))
        return 1 if failed else 0
    pool.warm_up(*(["runner.launch.study"] if settings.pruner != "none" else []))
    first = question.check()[0]
    trust.check(first.config)
    slots = share_out(launcher.n_jobs, left * (settings.seeds or 1), [first.config["device"]])
    print(f"resume   {made.path}: {left} of {planned} are left, {slots.describe()}", flush=True)
    view = SweepView.of(made)
    trials = Trials(made, question, lambda one: with_threads(one, record.threads), view.say)
    return conclude(made, run_here(trials, slots, launcher.retries, trust, view), trials.num_failed)


def _say_complete(made: SweepDirectory, planned: str) -> None:
    print(f"{made.path} is complete: {planned}, and nothing is left to train")
