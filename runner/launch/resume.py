"""``runner resume SWEEP_DIR``: what is over is left alone, what is half done goes on, what was not begun begins."""

from collections.abc import Sequence

from runner.config.relaunch import relaunching
from runner.launch import pool
from runner.launch.ending import conclude
from runner.launch.local import run_here, share_out
from runner.launch.work import OVER
from runner.runs.rebuild import read_status
from runner.runs.sweep_directory import SweepDirectory
from runner.trust import Trust


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
    launcher = relaunching(record.launcher, record.sweeper, overrides)
    waiting = [run for run in made.runs().values() if read_status(run)[0].state not in OVER]
    if not waiting:
        print(f"{made.path} is complete: {record.planned} runs, and nothing is left to train")
        return 0
    pool.warm_up()
    configs = [run.config() for run in waiting]
    for run, config in zip(waiting, configs, strict=True):
        trust.check(config, run.path)
    slots = share_out(launcher.n_jobs, len(waiting), [config["device"] for config in configs])
    print(f"resume   {made.path}: {len(waiting)} of {record.planned} runs are left, {slots.describe()}", flush=True)
    return conclude(made, run_here(made, slots, launcher.retries, trust))
