"""The local launcher: the runs of a sweep in a pool of processes of this machine."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from runner.config.compose import Composed
from runner.cpus import allowed_cpus
from runner.launch import pool
from runner.launch.machine import usable_gpus
from runner.launch.slots import Slots, divide, visible_gpus
from runner.launch.view import SweepView
from runner.launch.work import Runs, Source
from runner.training.signals import StopRequest, stop_signals
from runner.trust import Trust


def share_out(n_jobs: int | Literal["auto"], num_runs: int, devices: Sequence[Mapping[str, Any]]) -> Slots:
    """What each run gets of this machine, after making sure that the devices are there.

    Args:
        n_jobs: Runs at a time, or ``auto``.
        num_runs: How many are to come.
        devices: The ``device`` nodes of their configurations.

    Raises:
        UserError: If a device is not there.
    """
    kinds = sorted({(device["kind"], device["precision"]) for device in devices})
    gpus = visible_gpus(pool.ask(usable_gpus, kinds))
    return divide(n_jobs, num_runs, devices, gpus, allowed_cpus())


def with_threads(composed: Composed, threads: int | None) -> Composed:
    """The configuration of a run with its share of the processor, unless it says itself how many threads it takes.

    The number is frozen with the rest: sums that other numbers of threads add up differ in the last bit.
    """
    device = composed.config["device"]
    if device["threads"] is not None:
        return composed
    return Composed({**composed.config, "device": {**device, "threads": threads}}, composed.choices, composed.typed)


def run_here(source: Source, slots: Slots, retries: int, trust: Trust, view: SweepView) -> StopRequest:
    """Execute runs until there are no more, or a stop is requested, which is told."""
    stop = StopRequest()
    with stop.listening(*stop_signals(), signal.SIGINT):
        try:
            pool.run(Runs(source, trust, retries, view, stop), slots.variables, stop)
        except KeyboardInterrupt:
            pass  # a second Ctrl-C: the runs were ended at once, and the sweep is stopped as after the first
        finally:
            view.close()
    return stop
