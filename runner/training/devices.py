"""Which device a run uses, and what has to be set before it does."""

import os
import shutil
import socket
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch

from runner.config.fit_device import too_few_gpus
from runner.config.schema import Device as DeviceSettings
from runner.cpus import allowed_cpus
from runner.errors import UserError
from runner.memory import keep_freed_memory
from runner.parallel.group import Group

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a run, why it was taken, and the arithmetic of its forward passes."""

    device: torch.device
    reason: str
    precision: str
    """fp32, bf16 or fp16."""
    processes: int = 1
    """That train together, on as many devices of this kind."""

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        dtype = _AUTOCAST[self.precision]
        # A disabled autocast still costs microseconds a step.
        return torch.autocast(self.device.type, dtype) if dtype else nullcontext()

    def scaler(self) -> torch.amp.GradScaler | None:
        """The gradient scaler, where the precision needs one: fp16 gradients below 6e-8 would become 0."""
        return torch.amp.GradScaler(self.device.type) if self.precision == "fp16" else None

    def facts(self) -> dict[str, object]:
        """What of it may change a result, for the record of an execution."""
        is_cuda = self.device.type == "cuda"
        return {
            "device": self.device.type,
            "processes": self.processes,
            "precision": self.precision,
            "gpu": torch.cuda.get_device_name(self.device) if is_cuda else None,
            "cuda": torch.version.cuda if is_cuda else None,
            "threads": torch.get_num_threads(),
        }

    def describe(self) -> str:
        """For the console: name, precision and reason."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        count = torch.get_num_threads()
        threads = f", {count} thread{'s' * (count > 1)}" if self.device.type == "cpu" else ""
        several = f"{self.processes} processes, each on " if self.processes > 1 else ""
        return f"{several}{name}{threads}, {self.precision} ({self.reason})"


def choose(kind: str, precision: str) -> Device:
    """The device for ``auto``, ``cpu``, ``cuda`` or ``mps``, with the precision of which ``auto`` is the fastest.

    Raises:
        UserError: If what was asked for is not there: never a silent run on the CPU.
    """
    device, reason = _choose_device(kind)
    if precision == "auto":
        precision, why = _fastest_precision(device)
        reason = f"{reason}; precision=auto: {why}"
    return Device(device, reason, precision)


def of_process(device: Device, group: Group) -> Device:
    """The device of one of the processes that train together: of the GPUs that it sees, one that no other one takes.

    Raises:
        UserError: If there are fewer GPUs than processes that see them.
    """
    own = device.device
    if own.type == "cuda":
        seen = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
        position, processes = group.alike([socket.gethostname(), seen])
        if processes > len(seen):
            raise too_few_gpus(processes, len(seen))
        own = torch.device("cuda", position)
        torch.cuda.set_device(own)
    return replace(device, device=own, processes=group.size)


def num_gpus() -> int:
    """How many GPUs of NVIDIA this process sees."""
    return torch.cuda.device_count()


def _choose_device(kind: str) -> tuple[torch.device, str]:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if kind == "auto":
        kind = next(name for name, there in present.items() if there)
        missing = [name.upper() for name in ("cuda", "mps") if not present[name]]
        reason = "device=auto: CUDA is there" if kind == "cuda" else f"device=auto: no {' and no '.join(missing)} here"
        return torch.device(kind), reason
    if not present[kind]:
        raise UserError(
            f"device={kind}: there is none here",
            where=_why_no_cuda() if kind == "cuda" else None,
            expected=", ".join(name for name, there in present.items() if there),
            fix="device=auto takes the best there is",
        )
    return torch.device(kind), f"device={kind}"


def _fastest_precision(device: torch.device) -> tuple[str, str]:
    """bf16 where the hardware has instructions for it; elsewhere it is emulated and slower than fp32."""
    if device.type == "cuda":
        there, unit = torch.cuda.is_bf16_supported(including_emulation=False), "the GPU"
    elif device.type == "cpu":
        there, unit = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported(), "the CPU"
    else:
        there, unit = False, "the device"
    return ("bf16", f"{unit} computes in bf16") if there else ("fp32", f"{unit} has no bf16 instructions")


def _why_no_cuda() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} was built without CUDA"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return f"CUDA_VISIBLE_DEVICES={visible}"
    return f"torch {torch.__version__} has CUDA, but finds no device or no driver"


def require(device: Device, settings: DeviceSettings) -> None:
    """Refuse settings that the device or the machine cannot serve.

    Raises:
        UserError: If there is no CUDA to capture a graph on, or no compiler for what ``torch.compile`` writes.
    """
    if settings.cuda_graph and device.device.type != "cuda":
        raise UserError(
            f"device.cuda_graph=true, and the device is {device.device.type}",
            expected="a CUDA device",
            fix="device.cuda_graph=false",
        )
    if settings.compile and device.device.type == "cpu":
        compilers = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
        if not any(map(shutil.which, compilers)):
            raise UserError(
                f"device.compile=true: no C++ compiler here (looked for {' and '.join(compilers)})",
                expected="the one that torch.compile builds its code with",
                fix="install g++, set CXX to your compiler, or device.compile=false",
            )


def prepare_process(threads: int | None, deterministic: bool, group: Group | None = None) -> None:
    """Set the process-wide switches of torch and of memory; called once, before anything is computed.

    Args:
        threads: Of the CPU; None: as many as this process may keep busy.
        deterministic: Whether only algorithms are used that give the same bits each time.
        group: The processes that train together; those that may run on the same CPUs share them out.
    """
    if threads is None:
        threads = min(torch.get_num_threads(), allowed_cpus())
        if group is not None:
            cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
            _, sharing = group.alike([socket.gethostname(), cpus])
            threads = max(1, min(threads, allowed_cpus() // sharing))
    torch.set_num_threads(threads)
    keep_freed_memory()
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS's own condition for reproducible results
    if deterministic != torch.are_deterministic_algorithms_enabled():  # setting it imports torch's compiler: seconds
        torch.use_deterministic_algorithms(deterministic)
