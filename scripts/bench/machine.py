"""On what and with which versions something was measured."""

import os
import platform
import re
import subprocess
from pathlib import Path

PACKAGES = (
    "torch", "torchvision", "numpy", "lightning", "pytorch-ignite", "accelerate", "mmengine", "mosaicml", "keras",
    "torchmetrics", "scikit-image", "opencv-python-headless", "tensorboard",
)  # fmt: skip
_VERSIONS = """
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


def hardware() -> dict[str, str]:
    return {
        "processor": _processor(),
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}",
        "GPU": _gpu(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def versions(python: Path) -> dict[str, str]:
    """The installed ones of ``PACKAGES``, and Python's."""
    import json

    output = subprocess.run([str(python), "-c", _VERSIONS, *PACKAGES], capture_output=True, text=True, check=True)
    return dict(json.loads(output.stdout))


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def _gpu() -> str:
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "none"
    return output.stdout.strip() or "none"
