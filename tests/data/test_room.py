"""Free memory: of the machine, and below the limits of control groups, such as those of a container or a batch job."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.data.room import free_disk, free_memory

Describe = Callable[..., int | None]


@pytest.fixture
def room(tmp_path: Path) -> Describe:
    """Free memory on a machine with 1,000 kB free: ``room(cgroup=LINES, files={PATH: TEXT})``."""

    def describe(cgroup: str = "", files: dict[str, str] | None = None) -> int | None:
        files = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    1000 kB\n", "proc/self/cgroup": cgroup} | (
            files or {}
        )
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return free_memory(tmp_path / "groups", tmp_path / "proc")

    return describe


def test_without_a_limit_the_machine_counts(room: Describe) -> None:
    assert room() == 1_024_000
    unlimited = {"groups/job/memory.max": "max\n", "groups/job/memory.current": "5\n", "groups/job/memory.stat": ""}
    assert room("0::/job\n", unlimited) == 1_024_000


def test_a_limit_counts_less_what_is_used_and_cannot_be_dropped(room: Describe) -> None:
    files = {
        "groups/job/step/memory.max": "5000\n",
        "groups/job/step/memory.current": "4000\n",
        "groups/job/step/memory.stat": "anon 3000\ninactive_file 700\nactive_file 300\n",
    }
    assert room("0::/job/step\n", files) == 5000 - 4000 + 700


def test_the_limit_of_an_outer_group_counts_as_well(room: Describe) -> None:
    files = {
        **{"groups/job/memory.max": "900", "groups/job/memory.current": "100", "groups/job/memory.stat": ""},
        **{"groups/job/step/memory.max": "5000", "groups/job/step/memory.current": "100"},
        "groups/job/step/memory.stat": "",
    }
    assert room("0::/job/step\n", files) == 800


def test_in_a_container_its_own_group_is_the_root(room: Describe) -> None:
    files = {"groups/memory.max": "900", "groups/memory.current": "100", "groups/memory.stat": ""}
    assert room("0::/docker/abc\n", files) == 800


def test_groups_of_version_1_count_too(room: Describe) -> None:
    files = {
        "groups/memory/job/memory.limit_in_bytes": "5000",
        "groups/memory/job/memory.usage_in_bytes": "4000",
        "groups/memory/job/memory.stat": "total_inactive_file 500\n",
    }
    assert room("5:cpu,cpuacct:/other\n4:memory:/job\n", files) == 1500


def test_more_used_than_allowed_leaves_nothing(room: Describe) -> None:
    files = {"groups/memory.max": "900", "groups/memory.current": "1000", "groups/memory.stat": ""}
    assert room("0::/\n", files) == 0


def test_here_there_is_some() -> None:
    assert free_memory() is None or free_memory() > 0


def test_the_disk_below_a_folder_that_is_not_there_yet_counts(tmp_path: Path) -> None:
    assert free_disk(tmp_path / "a" / "b") > 0
    (tmp_path / "file").touch()
    assert free_disk(tmp_path / "file" / "a") >= 0
