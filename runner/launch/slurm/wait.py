"""Waiting for jobs: ``launcher.wait=true``. Whoever stops waiting stops nothing else."""

import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from runner.errors import UserError
from runner.launch.settle import settle
from runner.launch.slurm.watch import Watch
from runner.launch.view import SweepView
from runner.report.logs import Follower, follow
from runner.runs.directory import RunDirectory
from runner.runs.lock import RunLock
from runner.runs.rebuild import read_status
from runner.runs.status import OVER, Status
from runner.runs.sweep_directory import SweepDirectory
from runner.training.signals import EXIT_INTERRUPTED
from runner.typed import typed

_LOOK_EVERY_S = 1.0


def wait_for_run(run: RunDirectory) -> int:
    """Show what a run prints until its job is over; the exit code of the run."""
    watch = Watch(run.path)
    try:
        follow(run.path, Follower(sys.stdout), watch.is_over)
    except KeyboardInterrupt:
        _leave(run.path)
        raise
    return _exit_code(_settled(watch, run))


def wait_for_sweep(made: SweepDirectory, view: SweepView) -> int:
    """Show what becomes of the runs of a sweep until their jobs are over.

    Args:
        made: The sweep, whose jobs are submitted.
        view: Shown what happens.

    Returns:
        75 if runs are left that neither failed nor are complete, such as those that were cancelled; else 0.
    """
    watch, shown = Watch(made.path), _Shown(view)
    try:
        is_over = False
        while not is_over:
            is_over = watch.is_over()  # before the last look, so that nothing is missed
            shown.look(watch)
            if not is_over:
                view.look()
                time.sleep(max(_LOOK_EVERY_S, len(watch.runs()) / 100))  # each look reads a file of each run
        statuses = {run.path: _settled(watch, run) for run in watch.runs()}
        shown.close(watch, statuses)
    except KeyboardInterrupt:
        view.close()
        _leave(made.path)
        raise
    finally:
        view.close()
    return max((_exit_code(status) for status in statuses.values() if status.state != "failed"), default=0)


class _Shown:
    """What a view has been told of the runs of a sweep: of each that begins, and once of each that ends."""

    def __init__(self, view: SweepView) -> None:
        self._view = view
        self._known: set[Path] = set()
        self._left: set[Path] = set()
        self._running: set[Path] = set()

    def look(self, watch: Watch) -> None:
        """Tell what has happened. A run that is interrupted has not ended: its job may be queued again."""
        unfinished = {run.path for run in watch.unfinished()}
        for run in watch.runs():
            status = read_status(run)
            if run.path not in self._known:
                self._known.add(run.path)
                self._left |= {run.path} & unfinished
                self._view.add(run)
            if status.state != "running":
                self._running.discard(run.path)
            elif run.path not in self._running:
                self._running.add(run.path)
                self._view.started(run)
            if run.path in self._left - unfinished:
                self._left.remove(run.path)
                self._view.ended(run, status)

    def close(self, watch: Watch, statuses: Mapping[Path, Status]) -> None:
        """Tell of those that have begun and whose jobs are over all the same."""
        for run in watch.runs():
            if run.path in self._left and statuses[run.path].state != "created":
                self._view.ended(run, statuses[run.path])


def _leave(directory: Path) -> None:
    shows, ends = (typed("runner", command, directory) for command in ("ls", "cancel"))
    print(f"\nthe jobs go on; {shows} shows them, {ends} ends them", file=sys.stderr)


def _settled(watch: Watch, run: RunDirectory) -> Status:
    """The status of a run whose job is over; where only Slurm knows how it ended, that is written into it."""
    status = read_status(run)
    job = watch.job(run)
    if status.state not in ("created", "running") or job is None:
        return status
    try:
        with RunLock(run.path):
            was_cancelled = job.state == "CANCELLED"
            reason = f"ended with job {job.name}: {job.told()}"
            return settle(run, -signal.SIGTERM if was_cancelled else 1, was_cancelled, reason)
    except UserError:
        return status


def _exit_code(status: Status) -> int:
    if status.state in OVER:
        return 0
    return 1 if status.state == "failed" else EXIT_INTERRUPTED
