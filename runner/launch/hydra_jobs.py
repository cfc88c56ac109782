"""Jobs of any program that Hydra runs, in the pool: a task that is no run directory."""

import sys
import tempfile
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from runner.launch import pool
from runner.launch.local import share_out
from runner.launch.pool import Job
from runner.training.signals import StopRequest, stop_signals

_ANY_DEVICE = {"kind": "auto", "precision": "fp32"}
"""What is known of the device that a job takes."""


def run_jobs(
    context: HydraContext,
    task: TaskFunction,
    configs: Sequence[DictConfig],
    n_jobs: int | Literal["auto"],
    retries: int,
) -> list[JobReturn]:
    """Call a task with each of some configurations, in processes side by side; what the calls gave, in their order.

    A job whose process died is failed, as one whose task raised.

    Raises:
        KeyboardInterrupt: After a Ctrl-C or a SIGTERM, when the jobs have ended.
    """
    pool.warm_up()
    slots = share_out(n_jobs, len(configs), [_ANY_DEVICE])
    stop = StopRequest()
    with tempfile.TemporaryDirectory(prefix="runner-jobs-") as folder, stop.listening(*stop_signals()):
        work = _Jobs(context, task, configs, retries, Path(folder))
        pool.run(work, slots.variables, stop)
        if stop.requested:
            raise KeyboardInterrupt
        return work.returns()


def at_a_time() -> int:
    """How many jobs this machine runs at a time when nobody says."""
    pool.warm_up()
    return len(share_out("auto", sys.maxsize, [_ANY_DEVICE]).variables)


class _Jobs:
    """The jobs, each with a file for what it gives."""

    def __init__(
        self, context: HydraContext, task: TaskFunction, configs: Sequence[DictConfig], retries: int, folder: Path
    ) -> None:
        self._context, self._task, self._configs = context, task, configs
        self._retries = retries
        self._folder = folder
        self._waiting = deque(range(len(configs)))
        self._tries: Counter[int] = Counter()
        self._codes: dict[int, int] = {}

    def take(self) -> Job | None:
        if not self._waiting:
            return None
        number = self._waiting.popleft()
        self._tries[number] += 1
        # What a program has set up in this process, such as resolvers and the plug-ins, goes along with the task.
        given = cloudpickle.dumps((self._context, self._task, self._configs[number], Singleton.get_state()))
        return Job(_call, (number, given, self._file(number)))

    def ended(self, job: Job, exit_code: int) -> None:
        number = job.args[0]
        self._codes[number] = exit_code
        if self._failed(number) and self._tries[number] <= self._retries:
            self._waiting.append(number)

    def look(self) -> None:
        pass

    def returns(self) -> list[JobReturn]:
        return [self._returned(number) for number in range(len(self._configs))]

    def _failed(self, number: int) -> bool:
        return self._returned(number).status is JobStatus.FAILED

    def _returned(self, number: int) -> JobReturn:
        if self._codes[number] == 0:
            found: JobReturn = cloudpickle.loads(self._file(number).read_bytes())
            return found
        died = JobReturn(status=JobStatus.FAILED)
        died.return_value = RuntimeError(f"job {number} ended with exit code {self._codes[number]}")
        return died

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.pickle"


def _call(number: int, given: bytes, answer: Path) -> int:
    context, task, config, singletons = cloudpickle.loads(given)
    Singleton.set_state(singletons)
    returned: Any = run_job(
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
        hydra_context=context,
    )
    answer.write_bytes(cloudpickle.dumps(returned))
    return 0
