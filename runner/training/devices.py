"""Which device a run uses, and what has to be set before it does."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from runner.errors import UserError

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a run, why it was taken, and the arithmetic of its forward passes."""

    device: torch.device
    reason: str
    precision: str

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
            "device": str(self.device),
            "gpu": torch.cuda.get_device_name(self.device) if is_cuda else None,
            "cuda": torch.version.cuda if is_cuda else None,
            "threads": torch.get_num_threads(),
        }

    def describe(self) -> str:
        """For the console: name, precision and reason."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{name}{threads}, {self.precision} ({self.reason})"


def choose(kind: str, precision: str) -> Device:
    """The device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        UserError: If what was asked for is not there: never a silent run on the CPU.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if kind == "auto":
        kind = next(name for name, there in present.items() if there)
        missing = [name.upper() for name in ("cuda", "mps") if not present[name]]
        reason = "device=auto: CUDA is there" if kind == "cuda" else f"device=auto: no {' and no '.join(missing)} here"
        return Device(torch.device(kind), reason, precision)
    if not present[kind]:
        raise UserError(
            f"device={kind}: there is none here",
            where=_why_no_cuda() if kind == "cuda" else None,
            expected=", ".join(name for name, there in present.items() if there),
            fix="device=auto takes the best there is",
        )
    return Device(torch.device(kind), f"device={kind}", precision)


def _why_no_cuda() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} was built without CUDA"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return f"CUDA_VISIBLE_DEVICES={visible}"
    return f"torch {torch.__version__} has CUDA, but finds no device or no driver"


def prepare_process(threads: int | None, deterministic: bool) -> None:
    """Set the process-wide switches of torch; called once, before anything is computed."""
    if threads is not None:
        torch.set_num_threads(threads)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS's own condition for reproducible results
    if deterministic != torch.are_deterministic_algorithms_enabled():  # setting it imports torch's compiler: seconds
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
