"""The runs of a sweep as work for the pool: which one is next, and what becomes of one that has ended."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runner.launch.pool import Job
from runner.launch.settle import settle_unless_held
from runner.launch.trial import job_of
from runner.launch.view import SweepView
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.training.signals import StopRequest
from runner.trust import Trust

if TYPE_CHECKING:
    from runner.training.records import Judge


class Source(Protocol):
    """Where the runs of a sweep come from."""

    def more(self) -> Sequence[RunDirectory]:
        """The next runs; none where there is none now. Asked again when a run has ended."""
        ...

    def judge(self, run: RunDirectory) -> "Judge | None":
        """What decides whether the run goes on after an epoch."""
        ...

    def ended(self, run: RunDirectory, status: Status) -> None:
        """Told what became of a run that is not tried again; not told of one that was interrupted."""
        ...


class AllAtOnce:
    """Runs whose directories are there already."""

    def __init__(self, runs: Iterable[RunDirectory]) -> None:
        self._runs = list(runs)

    def more(self) -> Sequence[RunDirectory]:
        """All of them, the first time."""
        runs, self._runs = self._runs, []
        return runs

    def judge(self, run: RunDirectory) -> None:
        """Nothing: every run is trained to its end."""

    def ended(self, run: RunDirectory, status: Status) -> None:
        """Nothing depends on it."""


class Runs:
    """What the pool works off.

    Args:
        source: Where the runs come from.
        trust: Whose code they may name.
        retries: How often a run that fails is tried again, from its newest checkpoint.
        view: Shown what happens.
        stop: Tells whether processes were asked to end.
    """

    def __init__(self, source: Source, trust: Trust, retries: int, view: SweepView, stop: StopRequest) -> None:
        self._source = source
        self._trust = trust
        self._retries = retries
        self._view = view
        self._stop = stop
        self._waiting: deque[RunDirectory] = deque()
        self._tries: Counter[Path] = Counter()

    def take(self) -> Job | None:
        """The next run."""
        if not self._waiting:
            for run in self._source.more():
                self._view.add(run)
                self._waiting.append(run)
        if not self._waiting:
            return None
        run = self._waiting.popleft()
        self._tries[run.path] += 1
        self._view.started(run)
        return job_of(run, self._trust, self._source.judge(run))

    def ended(self, job: Job, exit_code: int) -> None:
        """Have a run that failed wait for another try, as long as it has one."""
        run = RunDirectory(job.args[0])
        status = settle_unless_held(run, exit_code, self._stop.requested)
        tries = self._tries[run.path]
        again = status.state == "failed" and tries <= self._retries and not self._stop.requested
        if again:
            self._waiting.append(run)
        elif status.state != "interrupted":
            self._source.ended(run, status)
        self._view.ended(run, status, f"tried again, {tries} of {self._retries}" if again else "")

    def look(self) -> None:
        """Show how far they are."""
        self._view.look()
