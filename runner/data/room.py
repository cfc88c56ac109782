"""How much memory and disk there is left for this process."""

import os
import shutil
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


def free_disk(folder: Path) -> int:
    """Bytes that can be written in a folder, which need not exist yet; 0 where nothing may be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free if os.access(folder, os.W_OK) else 0
    except OSError:
        return 0


def free_memory(groups: Path = _GROUPS, proc: Path = _PROC) -> int | None:
    """Bytes of memory that this process can still take; None where the system does not tell.

    Args:
        groups: Where the control groups are mounted, whose limits (of a container, of a batch job) count as well.
        proc: Where the process file system is mounted.
    """
    rooms = [room for room in (_of_machine(proc), *_of_groups(groups, proc)) if room is not None]
    return max(0, min(rooms)) if rooms else None


def _of_machine(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(values["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # of what is there, some will be free
    except (OSError, ValueError):
        return None


def _of_groups(groups: Path, proc: Path) -> list[int | None]:
    """What is left below the limit of each control group that this process is in, from the innermost outwards."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[int | None] = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":  # version 2
            root, names = groups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = groups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = root / path.lstrip("/")
        # In a container the path may be that on its host: then only the root can be seen.
        folders = [inner, *inner.parents] if inner.is_dir() else [root]
        found += [_below_limit(folder, *names) for folder in folders if folder.is_relative_to(root)]
    return found


def _below_limit(folder: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    """Bytes between usage and limit; file contents that the system can drop do not count as used."""
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return most - used + int(counts.get(reclaimable, 0))
    except (OSError, ValueError):  # "max": no limit
        return None
