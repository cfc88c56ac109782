"""A directory that cannot be written: nothing begins, and nothing is lost."""

import subprocess
from pathlib import Path
from typing import Any

from faults import after_step, command, contents, done, result, resume, send, train


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def train_and_stop() -> int:
    from signal import SIGTERM

    after_step(5, send(SIGTERM))
    return train()


def test_a_run_in_a_read_only_folder_is_not_begun_and_goes_on_when_it_can_be_written(
    small_disk: Path, alone: dict[str, Any]
) -> None:
    assert done(small_disk, train_and_stop)[0] == 75
    was = contents(small_disk)
    remount(small_disk, "ro")
    try:
        code, text = done(small_disk, resume)
        changed, told = done(small_disk, command, "resume", "run", "epochs=9")
    finally:
        remount(small_disk, "rw")
    assert (code, text) == (1, "run cannot be executed: [Errno 30] Read-only file system: 'run/lock'\n")
    assert (changed, told) == (code, text)
    assert contents(small_disk) == was
    assert done(small_disk, resume)[0] == 0
    assert result(small_disk / "run") == alone


def test_a_run_in_a_read_only_folder_can_be_evaluated_and_listed(small_disk: Path) -> None:
    assert done(small_disk, train)[0] == 0
    remount(small_disk, "ro")
    try:
        evaluated, figures = done(small_disk, command, "eval", "run")
        listed, table = done(small_disk, command, "ls", ".")
    finally:
        remount(small_disk, "rw")
    assert (evaluated, listed) == (0, 0), figures
    assert "test samples" in figures
    assert "completed" in table


def test_a_run_cannot_be_made_in_a_read_only_folder(small_disk: Path) -> None:
    remount(small_disk, "ro")
    try:
        code, text = done(small_disk, train)
    finally:
        remount(small_disk, "rw")
    assert code == 2
    assert text == "the run directory run cannot be made: Read-only file system\n  fix:      output_root=FOLDER\n"
    assert list(small_disk.iterdir()) == []
