"""What inputs are normalised with: as the configuration says, or as the training split is."""

import math
from typing import Literal, TypeGuard

from runner.config.sections.data import Normalize
from runner.data.disk_cache import DiskCache
from runner.data.fingerprint import of_arrays
from runner.data.source import Array, Lazy, Progress
from runner.data.stats import channel_stats

_QUICK = 2**24
"""Values of images whose mean is measured in no time, so that it is not worth a file."""


def normalisation(
    given: Normalize | Literal["auto"] | None,
    images: Array | Lazy,
    train: Array,
    disk: DiskCache | None,
    progress: Progress,
) -> dict[str, list[float]] | None:
    """Mean and standard deviation of each channel on the scale of 0 to 1; None where images stay as they are.

    Args:
        given: ``data.normalize``; ``auto`` measures them.
        images: The first input of all samples.
        train: Which of them are for training.
        disk: What is kept of them on the disk, the measures too; None: nothing.
        progress: Told how many images have been looked at.
    """
    if given is None:
        return None
    if given != "auto":
        return {"mean": given.mean, "std": given.std}
    if disk is None or math.prod(images.shape) < _QUICK:
        return _measured(images, train, progress)
    name = f"mean-std-{of_arrays([train])[:24]}"
    found = disk.remembered(name)
    if not _is_measure(found, images.shape[1]):
        found = _measured(images, train, progress)
        disk.remember(name, found)  # JSON gives numbers back to the last bit
    return found


def _measured(images: Array | Lazy, train: Array, progress: Progress) -> dict[str, list[float]]:
    mean, std = channel_stats(images, train, progress)
    return {"mean": mean, "std": std}


def _is_measure(found: object, channels: int) -> TypeGuard[dict[str, list[float]]]:
    """Whether a file that anybody may have written to holds a finite number for each channel."""
    return (
        isinstance(found, dict)
        and found.keys() == {"mean", "std"}
        and all(
            isinstance(values, list)
            and len(values) == channels
            and all(isinstance(value, float) and math.isfinite(value) for value in values)
            for values in found.values()
        )
    )
