"""Questions that only a process with torch can answer."""

from collections.abc import Mapping, Sequence
from typing import Any


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


def figures(config: Mapping[str, Any]) -> tuple[list[str], bool]:
    """The figures that a run comes to, and whether more is better of the one that it monitors.

    Raises:
        UserError: If a metric does not suit the task.
    """
    import torch

    from runner.config.schema import RunConfig
    from runner.config.sections.task import metric_nodes
    from runner.training.tasks import make_task

    checked = RunConfig.model_validate(config)
    task = make_task(checked.task.name, checked.task.outputs, metrics=metric_nodes(checked.task))
    names = ["loss", *task.new_metric(torch.device("cpu")).compute()]
    monitor = task.monitor if checked.monitor == "auto" else checked.monitor
    return [f"{split}/{name}" for split in ("train", "val", "test") for name in names], task.higher_is_better(monitor)
