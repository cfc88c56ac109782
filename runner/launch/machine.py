"""Questions about the machine that only a process with torch can answer."""

from collections.abc import Sequence


def usable_gpus(devices: Sequence[tuple[str, str]]) -> int:
    """How many GPUs CUDA sees, after making sure that the devices of some runs are there.

    Args:
        devices: ``device.kind`` and ``device.precision`` of the runs.

    Raises:
        UserError: If a device is not there.
    """
    import torch

    from runner.training.devices import choose

    for kind, precision in devices:
        choose(kind, precision)
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
