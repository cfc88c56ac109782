"""The runs of a sweep as work for the pool: which one is next, and what becomes of one that has ended."""

from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

from runner.launch.pool import Job
from runner.launch.settle import settle
from runner.launch.trial import job_of
from runner.launch.view import SweepView
from runner.runs.directory import RunDirectory
from runner.runs.rebuild import read_status
from runner.training.signals import StopRequest
from runner.trust import Trust

OVER = ("completed", "pruned")
"""States of a run that has nothing left to train."""


class FrozenRuns:
    """Runs whose directories are there already; those that are over are left alone.

    Args:
        runs: In the order in which they are started.
        trust: Whose code they may name.
        retries: How often a run that fails is tried again, from its newest checkpoint.
        view: Shown what happens.
        stop: Tells whether processes were asked to end.
    """

    def __init__(
        self,
        runs: Iterable[RunDirectory],
        trust: Trust,
        retries: int,
        view: SweepView,
        stop: StopRequest,
    ) -> None:
        self._trust = trust
        self._retries = retries
        self._view = view
        self._stop = stop
        self._waiting: deque[RunDirectory] = deque()
        self._tries: Counter[Path] = Counter()
        for run in runs:
            status = read_status(run)[0]
            view.add(run, status)
            if status.state not in OVER:
                self._waiting.append(run)

    def take(self) -> Job | None:
        """The next run."""
        if not self._waiting:
            return None
        run = self._waiting.popleft()
        self._tries[run.path] += 1
        self._view.started(run)
        return job_of(run, self._trust)

    def ended(self, job: Job, exit_code: int) -> None:
        """Have a run that failed wait for another try, as long as it has one."""
        run = RunDirectory(job.args[0])
        status = settle(run, exit_code, self._stop.requested)
        again = status.state == "failed" and self._tries[run.path] <= self._retries and not self._stop.requested
        if again:
            self._waiting.append(run)
        self._view.ended(run, status, f"tried again, {self._tries[run.path]} of {self._retries}" if again else "")

    def look(self) -> None:
        """Show how far they are."""
        self._view.look()
