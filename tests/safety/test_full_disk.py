"""A disk that is full, at whatever a run was about to write: it fails loudly, and goes on when there is space again."""

import contextlib
import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import before, command, contents, done, result, resume, status_of, train

FILLER = Path("filler")


def fill() -> None:
    """Leave no byte and no inode's worth of space on the disk."""
    with FILLER.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def train_and_fill_before(kind: str, number: int) -> int:
    """Train on a disk that is full from the ``number``-th write of a kind on."""
    from runner.runs import provenance, status, store
    from runner.tracking.console import Console
    from runner.tracking.event_files import EventFiles
    from runner.tracking.metrics_csv import MetricsCsv

    places: dict[str, tuple[Any, str]] = {
        "checkpoint": (store, "write_checkpoint"),
        "row of metrics": (MetricsCsv, "append"),
        "event": (EventFiles, "add"),
        "log": (Console, "_log"),
        "status": (status, "write_json"),
        "provenance": (provenance, "write_json"),
    }
    before(*places[kind], fill, number)
    return train("tracking.images=8")


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("checkpoint", 1),
        ("checkpoint", 2),
        ("row of metrics", 1),
        ("row of metrics", 4),
        ("event", 1),
        ("event", 20),
        ("log", 1),
        ("status", 2),
        ("status", 3),
        ("provenance", 1),
    ],
    ids=str,
)
def test_a_run_on_a_full_disk_fails_loudly_and_goes_on_to_the_same_end_when_there_is_space_again(
    small_disk: Path, images: dict[str, Any], kind: str, number: int
) -> None:
    code, text = done(small_disk, train_and_fill_before, kind, number)
    assert code == 1
    assert "[Errno 28] No space left on device" in text
    assert "Traceback" not in text
    assert status_of(small_disk / "run").state in ("created", "running", "failed"), "the old file or the new one"
    assert [file for file in (small_disk / "run").rglob("*") if ".tmp" in file.name] == []

    (small_disk / "filler").unlink()
    code, text = done(small_disk, resume)
    assert code == 0, text
    assert result(small_disk / "run") == images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run comes to when it is left alone, pictures included."""
    folder = tmp_path_factory.mktemp("alone")
    assert done(folder, train, "tracking.images=8")[0] == 0
    return result(folder / "run")


def limited(size: int, act: Callable[..., int], *args: str) -> int:
    """Do something while no file can grow beyond a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return act(*args)


def test_a_checkpoint_that_does_not_fit_fails_the_run_which_says_so_in_its_status(
    home: Path, alone: dict[str, Any]
) -> None:
    code, text = done(home, limited, 12_000, train)
    assert code == 1
    assert f"[Errno {errno.EFBIG}] File too large\n  what was saved before is whole" in text
    assert status_of(home / "run").state == "failed"
    assert status_of(home / "run").error == f"OSError: [Errno {errno.EFBIG}] File too large"
    assert list((home / "run" / "checkpoints").iterdir()) == []
    assert done(home, resume)[0] == 0
    assert result(home / "run") == alone


def train_on_a_full_disk() -> int:
    os.mkdir("outputs")
    fill()
    return train("run_dir=outputs/run")


def test_a_run_that_cannot_even_be_made_leaves_nothing(small_disk: Path) -> None:
    code, text = done(small_disk, train_on_a_full_disk)
    assert code == 2
    assert text == (
        "the run directory outputs/run cannot be made: No space left on device\n  fix:      output_root=FOLDER\n"
    )
    assert os.listdir(small_disk / "outputs") == []


def change_on_a_full_disk() -> int:
    fill()
    return command("resume", "run", "epochs=5")


def test_a_change_that_cannot_be_written_changes_nothing(small_disk: Path) -> None:
    assert done(small_disk, train)[0] == 0
    was = contents(small_disk / "run")
    code, text = done(small_disk, change_on_a_full_disk)
    assert code == 1
    assert "cannot be executed: [Errno 28] No space left on device" in text
    (small_disk / "filler").unlink()
    assert contents(small_disk / "run") | {"lock": ""} == was | {"lock": ""}


def train_and_open(missing: str) -> int:
    """Train a model that opens a file which is not there at its sixth step."""
    from runner.training.gradient import EagerGradient

    before(EagerGradient, "add", lambda: open(missing).close(), 6)
    return train()


def test_a_file_that_the_users_code_misses_is_no_fault_of_the_run_directory(home: Path) -> None:
    code, text = done(home, train_and_open, "/nowhere/late.txt")
    assert code == 1
    assert "could not be written or read" not in text
    assert "Traceback" in text
    assert "test_full_disk.py" in text, "where it was opened"
    error = status_of(home / "run").error
    assert error == "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/late.txt'"


def test_a_file_of_the_run_that_is_missing_is_told_without_a_traceback(home: Path) -> None:
    code, text = done(home, train_and_open, "run/late.txt")
    assert code == 1
    assert (
        "run could not be written or read: [Errno 2] No such file or directory: 'run/late.txt'\n"
        "  what was saved before is whole\n"
    ) in text
    assert "Traceback" not in text
