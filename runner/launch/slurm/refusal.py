"""What Slurm refuses, in its own words, with the settings that it is about."""

import re

from runner.config.sections.launching import SlurmLauncher
from runner.errors import UserError, nearest
from runner.launch.slurm.client import SlurmError, call
from runner.launch.slurm.options import SETTINGS

_ABOUT = {
    "partition": ("partition",),
    "account": ("account", "partition"),
    "qos": ("qos",),
    "memory": ("memory",),
    "feature": ("constraint",),
    "gres": ("gpus",),
    "time limit": ("time",),
    "node count": ("nodes",),
    "processor": ("cpus", "processes"),
    "cpu count": ("cpus", "processes"),
    "job array": ("max_parallel",),
}
"""Words of Slurm, and the settings that it means by them."""
_WHAT_A_NODE_HAS = ("partition", "nodes", "processes", "gpus", "cpus", "memory", "constraint")
_WHAT_IS_LIMITED = ("account", "qos", "time", "nodes", "gpus", "cpus", "memory")


def refusal(error: SlurmError, settings: SlurmLauncher) -> UserError:
    """What to tell when sbatch did not take a job."""
    words = [
        re.sub(r"^sbatch: (error: )?(Batch job submission failed: )?", "", line) for line in str(error).splitlines()
    ]
    words = [line for line in words if not line.startswith("Try ")]
    text = "\n".join(words).lower()
    keys = _keys(text, settings)
    partitions = _partitions() if "invalid partition" in text else []
    return UserError(
        f"Slurm refuses the job: {'; '.join(words)}",
        where=", ".join(f"launcher.{key}={_shown(getattr(settings, key))}" for key in keys) or None,
        expected=f"one of {', '.join(partitions)}" if partitions else None,
        nearest=nearest(settings.partition or "", partitions),
    )


def _keys(text: str, settings: SlurmLauncher) -> list[str]:
    option = re.search(r"--([a-z-]+)", text)
    if option:
        return [SETTINGS.get(option[1], "sbatch")]
    keys = [key for words, about in _ABOUT.items() if words in text for key in about]
    if "policy" in text or "limit" in text:
        keys += _WHAT_IS_LIMITED
    if not keys and ("node configuration" in text or "not available" in text):
        keys += _WHAT_A_NODE_HAS
    return [key for key in dict.fromkeys(keys) if getattr(settings, key) is not None]


def _partitions() -> list[str]:
    try:
        return sorted(set(call(["sinfo", "-h", "-o", "%R"]).split()))
    except (SlurmError, UserError):
        return []


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
