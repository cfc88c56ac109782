"""Where decoded images and masks are kept: in memory, in files that are mapped into memory, or nowhere.

The same rows come out in all cases.
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from runner.data.disk_cache import DiskCache, NoRoomError, Note
from runner.data.lazy import hold
from runner.data.room import free_disk, free_memory
from runner.data.source import Progress, Samples, num_bytes

Cache = Literal["auto", "memory", "disk", "none"]

MEMORY_SHARE = 0.5
"""Of the free memory, what ``auto`` fills at the most: the model, workers and other runs need some as well."""
DISK_SHARE = 0.8
"""Of the free disk, likewise."""


class Kept(NamedTuple):
    """Samples, and what is done with their images, in words; empty where there is nothing to decode."""

    samples: Samples
    how: str


def keep(samples: Samples, cache: Cache, disk: DiskCache, progress: Progress, note: Note, neighbours: int = 1) -> Kept:
    """Decode what is lazy, and keep it where it shall be kept.

    Args:
        samples: As they are streamed.
        cache: ``auto`` takes what is on the disk already; else memory, if the images fit in there; else the disk, if
            there is room; else ``none``. Of several processes each would decode everything, into a memory of its own:
            for them the disk, where one does it for all, comes before the memory.
        disk: The cache of these samples on the disk.
        progress: Told how many files are decoded.
        note: Told when another process is waited for.
        neighbours: Processes on this machine that hold the same samples, this one included.

    Raises:
        UserError: If files are broken; or if the disk was asked for, and has no room or cannot be written.
    """
    lazy = [values for values in (*samples.inputs, samples.targets) if not isinstance(values, np.ndarray)]
    if not lazy:
        return Kept(samples, "")
    needed = sum(num_bytes(values) for values in lazy)
    chosen, size = (cache, told(needed)) if cache != "auto" else _choose(needed, disk, neighbours)
    if chosen == "memory":
        return Kept(hold(samples, progress), f"held in memory ({size})")
    if chosen == "disk":
        try:
            return Kept(disk.keep(progress, note), f"kept in {disk.folder} ({size})")
        except NoRoomError:
            if cache == "disk":
                raise
            size += f", for which {disk.folder} has no room"
    return Kept(samples, f"decoded for each batch ({size})")


def _choose(needed: int, disk: DiskCache, neighbours: int) -> tuple[Cache, str]:
    """What ``auto`` comes to, and the size with the reason."""
    size, memory = told(needed), free_memory()
    if disk.has_all():
        return "disk", f"{size}, found there"
    room = free_disk(disk.folder)
    if neighbours > 1 and needed <= DISK_SHARE * room:
        return "disk", f"{size}, once for {neighbours} processes"
    if memory is None or neighbours * needed <= MEMORY_SHARE * memory:
        return "memory", size if memory is None else f"{size} of {told(memory)} free"
    if needed <= DISK_SHARE * room:
        return "disk", f"{size}; free are {told(memory)} of memory and {told(room)} of disk"
    return "none", f"{size}; free are {told(memory)} of memory and {told(room)} of disk"


def told(num_bytes: int) -> str:
    """A number of bytes for people: ``9.2 MB``."""
    power = 0 if num_bytes < 1000 else min(4, int(math.log10(num_bytes)) // 3)
    return f"{num_bytes / 1000**power:.{1 if power else 0}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
