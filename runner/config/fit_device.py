"""Refusing, by name, settings of the device that exclude each other."""

import socket

from runner.config.origin import Origin
from runner.config.schema import RunConfig
from runner.errors import UserError


def _several_of_what(run: RunConfig, origin: Origin) -> UserError | None:
    """Settings that are for several processes, where there is one."""
    device = run.device
    alone = {"processes": ("auto", 1), "sync_batch_norm": (False,)}
    wrong = [name for name, allowed in alone.items() if getattr(device, name) not in allowed]
    if device.parallel != "none" or not wrong:
        return None
    told = [f"device.{name}={str(getattr(device, name)).lower()}" for name in wrong]
    others = [f"device.{name}={str(alone[name][0]).lower()}" for name in wrong]
    return UserError(
        f"{' '.join(told)} is for several processes, and device.parallel=none has one",
        where=origin.of(("device", wrong[0])),
        fix=f"device=ddp, or {' '.join(others)}",
    )


def _samples_for_each(run: RunConfig, origin: Origin) -> UserError | None:
    processes = run.device.processes
    return too_few_samples(processes, run.data.batch_size) if isinstance(processes, int) else None


def _graph(run: RunConfig, origin: Origin) -> UserError | None:
    if run.device.parallel == "none" or not run.device.cuda_graph:
        return None
    return UserError(
        f"device.cuda_graph=true is for one process, and device.parallel={run.device.parallel} is for several",
        where=origin.of(("device", "cuda_graph")),
        fix="device.cuda_graph=false",
    )


def _sharded(run: RunConfig, origin: Origin) -> UserError | None:
    """What cannot be done with weights of which each process has a part."""
    device = run.device
    for name, is_set, fix in (
        ("compile", device.compile, "device.compile=false"),
        ("channels_last", device.channels_last is True, "device.channels_last=auto"),
        ("precision", device.precision == "fp16", "device.precision=bf16"),
    ):
        if device.parallel == "fsdp" and is_set:
            value = str(getattr(device, name)).lower()
            return UserError(
                f"device.{name}={value} does not go together with device.parallel=fsdp",
                where=origin.of(("device", name)),
                fix=f"{fix}, or device.parallel=ddp",
            )
    return None


def too_few_samples(processes: int, batch_size: int) -> UserError | None:
    """What is wrong with so many processes for a batch, if anything."""
    if processes <= batch_size:
        return None
    return UserError(
        f"{processes} processes share each batch, and data.batch_size={batch_size}",
        expected="a sample or more for each process: data.batch_size is that of all of them together",
        fix=f"device.processes={batch_size}, or data.batch_size={processes} or more",
    )


def too_few_gpus(processes: int, gpus: int) -> UserError:
    """What to tell when several processes would have to share a GPU."""
    return UserError(
        f"{processes} processes on {socket.gethostname()} cannot share {gpus} GPU{'s' if gpus > 1 else ''}",
        expected="a GPU for each process",
        fix=f"device.processes={gpus}, or device.kind=cpu",
    )


DEVICE_CHECKS = (_several_of_what, _samples_for_each, _graph, _sharded)
