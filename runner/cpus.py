"""How many processors this process may keep busy."""

import contextlib
import os
from pathlib import Path


def allowed_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Those that the system lets it run on, bounded by the quota of a container.

    Args:
        cgroup: Where the kernel tells the quota: ``cpu.max`` in version 2, ``cpu/cpu.cfs_quota_us`` in version 1.
    """
    for read in (_quota_of_version_2, _quota_of_version_1):
        with contextlib.suppress(OSError, ValueError):
            quota, period = read(cgroup)
            return max(1, min(round(quota / period), _present())) if quota > 0 else _present()
    return _present()


def _quota_of_version_2(cgroup: Path) -> tuple[int, int]:
    quota, period = (cgroup / "cpu.max").read_text().split()
    return (-1 if quota == "max" else int(quota)), int(period)


def _quota_of_version_1(cgroup: Path) -> tuple[int, int]:
    quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return int(quota), int(period)


def _present() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
