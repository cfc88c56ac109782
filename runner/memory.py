"""What becomes of memory that is freed."""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_NEVER, _MOST = -1, 32 * 2**20


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed for what is allocated next, instead of giving it back to the system.

    A step allocates as much as the step before it has freed. What goes back to the system in between comes from it as
    pages that are filled with zeros at the first touch, which takes 5 to 10 % of the time of a U-Net on the CPU. The
    price is that a process does not get smaller, but by tensors of over 32 MiB, which the C library asks the system for
    one by one. Whoever has set an environment variable for malloc keeps what it says.

    Returns:
        Whether it does: only glibc can be told. Source: mallopt(3).
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, _MOST) and mallopt(_M_TRIM_THRESHOLD, _NEVER))
