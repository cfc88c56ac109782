"""What becomes of memory that is freed."""

import os
import subprocess
import sys

import pytest

from runner.memory import keep_freed_memory

STEPS = """
import resource
import torch
from runner.memory import keep_freed_memory

assert keep_freed_memory()
torch.set_num_threads(1)
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.empty(1_000_000).fill_(1.0) for _ in range(10)]
    told = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    del tensors
print(told)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc alone")
def test_freed_memory_is_used_again_without_asking_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Page faults of the fifth of five steps, each of which fills 40 MB, 10,000 pages, and lets them go."""
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)
    for _ in range(3):  # whether the system gets it back otherwise is a matter of what lies behind it
        told = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True).stdout
        assert int(told) < 100


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_a_user_has_said_about_it_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "glibc.malloc.arena_max=1")
    assert not keep_freed_memory()
