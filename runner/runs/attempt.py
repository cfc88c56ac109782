"""Which attempt of which batch job a process belongs to: a job that is queued again starts the same directory again.

A batch system takes a node for dead whose daemon it cannot reach, and starts the job elsewhere. The processes of the
attempt before may be alive and well; then the newer attempt is the one that counts.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a batch job.

    Args:
        job: What the job is called in the queue, such as ``1234`` or ``1234_5``.
        number: How often it had been queued again before.
        node: Where this one runs.
    """

    job: str
    number: int
    node: str = ""

    def replaces(self, record: Mapping[str, Any]) -> bool:
        """Whether this is a later attempt of the job that a record names (``job`` and ``attempt``)."""
        before = record.get("attempt")
        return record.get("job") == self.job and isinstance(before, int) and before < self.number


def this_attempt(variables: Mapping[str, str] = os.environ) -> Attempt | None:
    """The attempt that this process belongs to, as Slurm says in the environment; None outside a job."""
    array, task = variables.get("SLURM_ARRAY_JOB_ID"), variables.get("SLURM_ARRAY_TASK_ID")
    # One task of an array has the number of the whole array for its own, so a task is named by array and task.
    job = f"{array}_{task}" if array and task else variables.get("SLURM_JOB_ID")
    if not job:
        return None
    return Attempt(job, int(variables.get("SLURM_RESTART_COUNT") or 0), variables.get("SLURMD_NODENAME", ""))
