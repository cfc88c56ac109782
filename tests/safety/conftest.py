"""Things that the tests of safety start from."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import done, result, stop_server, train


@pytest.fixture(scope="session", autouse=True)
def _no_process_stays() -> Iterator[None]:
    yield
    stop_server()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder in which commands are typed."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the tiny run comes to when it is left alone."""
    folder = tmp_path_factory.mktemp("alone")
    assert done(folder, train)[0] == 0
    return result(folder / "run")


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The home folder, on a file system of its own with two megabytes."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(home)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield home
    subprocess.run(["umount", "--lazy", str(home)], check=True)
