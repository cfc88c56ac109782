"""What Slurm says of jobs: asked once for all of them, and told in words."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from runner.errors import UserError
from runner.launch.slurm.client import SlurmError, call
from runner.launch.slurm.jobs import array_of, is_at_its_end, newest, workers
from runner.runs.status import OVER, Status
from runner.tracking.formatting import counted

_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
_ACTIVE = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
_TOLD = {
    "RUNNING": "running",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "TIMEOUT": "ended by its time limit",
    "DEADLINE": "ended by its deadline",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not boot",
    "PREEMPTED": "made way for other jobs",
    "REVOKED": "revoked",
    "COMPLETING": "ending",
    "UNKNOWN": "not in the queue any more",
    "UNREACHABLE": "Slurm does not answer here",
}
"""Words of Slurm, and two of ours for what it does not say, in words for people."""
_IN_VAIN = {
    "PartitionConfig": "the partition has no such nodes",
    "PartitionNodeLimit": "more nodes than the partition allows",
    "PartitionTimeLimit": "more time than the partition allows",
    "BadConstraints": "no node is like that",
    "DependencyNeverSatisfied": "what it waits for has failed",
    "JobHeldUser": "held; scontrol release lets it go",
    "JobHeldAdmin": "held by the administrator",
    "AccountNotAllowed": "the partition does not take this account",
    "QOSNotAllowed": "the partition does not take this qos",
    "InvalidAccount": "there is no such account",
    "InvalidQOS": "there is no such qos",
}
"""Reasons to wait that waiting does not end, with what they mean."""
_FIELDS = {"JobArrayID": 40, "State": 20, "RestartCnt": 10, "NodeList": 200, "Reason": 200}


@dataclass(frozen=True, slots=True)
class JobState:
    """A job or a task of an array, as Slurm knows it.

    Args:
        name: ``1234``, or ``1234_5`` for a task.
        state: In Slurm's word, such as ``PENDING``.
        reason: Why it waits, or ended; empty where nothing is said.
        nodes: Where it runs or ran.
        restarts: How often it was queued again.
    """

    name: str
    state: str
    reason: str = ""
    nodes: str = ""
    restarts: int = 0

    @property
    def array(self) -> str:
        """The number of the array whose task it is, or of the job itself."""
        return array_of(self.name)

    @property
    def is_waiting(self) -> bool:
        """Whether it will start, or start again."""
        return self.state in _WAITING

    @property
    def is_over(self) -> bool:
        """Whether it neither runs nor will."""
        return not self.is_waiting and self.state not in _ACTIVE

    def told(self) -> str:
        """In words: ``pending (Priority), queued again 2 times``, ``running on node3``."""
        on = f" on {self.nodes}" if self.state == "RUNNING" else ""
        again = ", queued again " + counted(self.restarts, "time") if self.restarts else ""
        return f"{self.in_short()}{on}{again}"

    def in_short(self) -> str:
        """In few words: ``pending (Priority)``, ``running``."""
        if not self.is_waiting:
            return _TOLD.get(self.state, self.state.lower())
        meaning = f": {_IN_VAIN[self.reason]}" if self.reason in _IN_VAIN else ""
        return f"pending ({self.reason}{meaning})" if self.reason else "pending"


def states(names: Iterable[str]) -> dict[str, JobState]:
    """What is known of jobs and tasks, by name; those that Slurm has forgotten are left out.

    ``squeue`` knows what waits, runs, or has just ended. For the rest, and only then, ``sacct`` is asked, which answers
    where the cluster keeps accounts.

    Args:
        names: ``1234`` or ``1234_5``. Of an array that is named as a whole, all tasks are told.

    Raises:
        UserError: If there is no Slurm here.
        SlurmError: If it does not answer.
    """
    wanted = set(names)
    if not wanted:
        return {}
    found = _of_squeue(set(map(array_of, wanted)))
    known = {state.array for state in found.values()}
    missing = {name for name in wanted if name not in found and not ("_" not in name and name in known)}
    if missing:
        found |= _of_sacct(set(map(array_of, missing)))
    return {name: state for name, state in found.items() if not wanted.isdisjoint((name, state.array))}


def require_states(names: Iterable[str]) -> dict[str, JobState]:
    """The same, for what must not be done unless Slurm answers.

    Raises:
        UserError: If it cannot be asked.
    """
    try:
        return states(names)
    except SlurmError as error:
        raise UserError(f"Slurm does not say what is in the queue: {error}", fix="the same again in a minute") from None


def of_directories(
    statuses: Mapping[Path, Status], sweeps: Iterable[Path] = ()
) -> tuple[dict[Path, JobState], dict[Path, list[JobState]]]:
    """The jobs of those of some runs that are not at their end, and the workers of studies that are in the queue.

    Slurm is asked only if there are any, and once.

    Args:
        statuses: Of the runs, by their directories.
        sweeps: Those that are not over.
    """
    incomplete = (path for path, status in statuses.items() if status.state not in OVER)
    jobs = {path: job for path, job in newest(incomplete).items() if not is_at_its_end(statuses[path], job)}
    arrays = {sweep: ids for sweep in sweeps if (ids := workers(sweep))}
    nothing = "UNKNOWN"
    try:
        known = states([*(job.name for job in jobs.values()), *chain(*arrays.values())])
    except (SlurmError, UserError):
        known, nothing = {}, "UNREACHABLE"
    runs = {
        path: known.get(job.name) or JobState(job.name, "CANCELLED" if job.is_cancelled else nothing)
        for path, job in jobs.items()
    }
    return runs, {
        sweep: [state for state in known.values() if state.array in ids and not state.is_over]
        for sweep, ids in arrays.items()
    }


def how_it_is(name: str) -> str:
    """How a job or a task is, in words, as far as Slurm says it."""
    try:
        known = states([name])
    except (SlurmError, UserError):
        known = {}
    return known[name].told() if name in known else "not in the queue"


def _of_squeue(numbers: Iterable[str]) -> dict[str, JobState]:
    columns = ",".join(f"{name}:{width}" for name, width in _FIELDS.items())
    command = ["squeue", "-h", "-r", "-t", "all", "-j", ",".join(sorted(numbers)), "-O", columns]
    try:
        lines = call(command).splitlines()
    except SlurmError as error:
        if "Invalid job id" in str(error):  # said of a single one only
            return {}
        raise
    found = {}
    for line in lines:
        cells, start = [], 0
        for width in _FIELDS.values():
            cells.append(line[start : start + width].strip())
            start += width
        name, state, restarts, nodes, reason = cells
        found[name] = JobState(name, state, "" if reason == "None" else reason, nodes, int(restarts or 0))
    return found


def _of_sacct(numbers: Iterable[str]) -> dict[str, JobState]:
    """What the accounts say; nothing where there are none."""
    try:
        lines = call(["sacct", "-n", "-P", "-X", "-j", ",".join(sorted(numbers)), "-o", "JobID,State,NodeList"])
    except (SlurmError, UserError):
        return {}
    found = {}
    for line in lines.splitlines():
        name, state, nodes = line.split("|")
        if re.fullmatch(r"\d+(_\d+)?", name):  # others are tasks that have not begun: 12_[3-5]
            word = state.split()[0]  # CANCELLED by 1000
            found[name] = JobState(name, word, nodes="" if nodes == "None assigned" else nodes)
    return found
