"""Which jobs of Slurm belong to a run or a sweep: noted when they are submitted, read by all that comes later."""

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.runs.files import write_json
from runner.runs.status import ENDED, Status
from runner.runs.sweep_directory import SweepDirectory, number_of

NAME = "jobs.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One submission.

    Args:
        id: Its number; of an array, that of the whole; ``1234_5`` where a task of an array took up the run itself.
        submitted: When; ISO 8601.
        tasks: By the number of a task of the array, the number of the run that it executes; None for a job of one run,
            and empty for an array whose tasks find their runs themselves.
        cancelled: What ``runner cancel`` has cancelled of it, as the queue calls it: tasks, or all.
    """

    id: str
    submitted: str
    tasks: dict[int, int] | None = None
    cancelled: tuple[str, ...] = ()

    def by_run(self) -> dict[int, str]:
        """By the number of a run of a sweep, what the queue calls the task that executes it."""
        return {run: f"{self.id}_{task}" for task, run in (self.tasks or {}).items()}

    def is_cancelled(self, name: str) -> bool:
        """Whether ``runner cancel`` has cancelled it, or the task of that name."""
        return not {self.id, name, self.array}.isdisjoint(self.cancelled)

    def with_cancelled(self, names: Collection[str]) -> "Job":
        """The same, with the note that some jobs or tasks were cancelled, as far as they are of it."""
        own = sorted(name for name in names if name in (self.id, self.array) or array_of(name) == self.id)
        return replace(self, cancelled=tuple(dict.fromkeys((*self.cancelled, *own))))

    @property
    def array(self) -> str:
        """The number of the array whose task it is, or of the job itself."""
        return array_of(self.id)


@dataclass(frozen=True, slots=True)
class Jobs:
    """What ``jobs.json`` of a run or sweep directory holds."""

    folder: Path
    settings: dict[str, Any]
    """Of the launcher, as they were the last time."""
    code: tuple[str, ...]
    """The copies of the code that was run then, if copies were."""
    submissions: tuple[Job, ...]
    """The newest last."""

    @classmethod
    def of(cls, folder: Path) -> "Jobs | None":
        """The jobs that were submitted for the directory of a run or a sweep; None if none were.

        Raises:
            UserError: If the file is damaged.
        """
        file = folder / NAME
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            jobs = [Job(**_immutable(one) | {"tasks": _numbers(one["tasks"])}) for one in found["jobs"]]
            return cls(folder, dict(found["settings"]), tuple(found["code"]), tuple(jobs))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{file} cannot be read: {error}", fix="squeue --me shows your jobs") from None

    @classmethod
    def note(cls, folder: Path, settings: dict[str, Any], code: Iterable[Path], job: Job) -> None:
        """Write down a job that was submitted for a directory."""
        cls(folder, settings, tuple(map(str, code)), (*submissions(folder), job)).write()

    def with_cancelled(self, names: Collection[str]) -> "Jobs":
        """The same, with the note that some jobs or tasks were cancelled, as far as they are of these."""
        return replace(self, submissions=tuple(job.with_cancelled(names) for job in self.submissions))

    def write(self) -> None:
        """Replace the file."""
        jobs = [asdict(job) for job in self.submissions]
        write_json(self.folder / NAME, {"settings": self.settings, "code": self.code, "jobs": jobs})


@dataclass(frozen=True, slots=True)
class Submitted:
    """The newest job that was submitted for a run.

    Args:
        name: What the queue calls it: ``1234``, or ``1234_5`` for a task of an array.
        submitted: When; ISO 8601.
        is_cancelled: Whether ``runner cancel`` has cancelled it.
    """

    name: str
    submitted: str
    is_cancelled: bool


def submissions(folder: Path) -> tuple[Job, ...]:
    """The jobs that were submitted for the directory of a run or a sweep, the newest last.

    Raises:
        UserError: If the file is damaged.
    """
    jobs = Jobs.of(folder)
    return jobs.submissions if jobs else ()


def array_of(name: str) -> str:
    """The number of the array whose task the queue calls so; of a job that is no task, its own."""
    return name.partition("_")[0]


def newest(runs: Iterable[Path]) -> dict[Path, Submitted]:
    """The newest job of each of some runs that has one: submitted for itself, or for its sweep."""
    of_sweeps: dict[Path, dict[int, Submitted]] = {}
    found = {}
    for run in runs:
        own = [_submitted(job, job.id) for job in submissions(run)]
        sweep = SweepDirectory.of_run(run)
        if sweep is not None:
            if sweep.path not in of_sweeps:
                of_sweeps[sweep.path] = _by_run(sweep.path)
            own += filter(None, [of_sweeps[sweep.path].get(number_of(run))])
        if own:
            found[run] = sorted(own, key=lambda job: datetime.fromisoformat(job.submitted))[-1]
    return found


def is_at_its_end(status: Status, job: Submitted | None) -> bool:
    """Whether a run has come to an end that it does not go on from, and was not submitted again after that.

    Args:
        status: Of the run.
        job: The newest one that was submitted for it.
    """
    if status.state not in ENDED:
        return False
    if job is None or status.ended is None:
        return True
    return datetime.fromisoformat(job.submitted) <= datetime.fromisoformat(status.ended)


def workers(sweep: Path) -> list[str]:
    """The numbers of the arrays whose tasks find their runs themselves."""
    return [job.id for job in submissions(sweep) if job.tasks == {}]


def _by_run(sweep: Path) -> dict[int, Submitted]:
    return {number: _submitted(job, name) for job in submissions(sweep) for number, name in job.by_run().items()}


def _submitted(job: Job, name: str) -> Submitted:
    return Submitted(name, job.submitted, job.is_cancelled(name))


def _immutable(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _numbers(tasks: dict[str, int] | None) -> dict[int, int] | None:
    return None if tasks is None else {int(task): int(run) for task, run in tasks.items()}
