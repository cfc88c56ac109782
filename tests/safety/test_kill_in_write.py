"""``kill -9`` at any byte of a checkpoint, and before any of the operations that put it in its place."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import before, checkpoint, done, forked, kill, result, resume, train

from runner.runs.checkpoints import read_checkpoint, write_checkpoint
from runner.runs.store import CheckpointStore, Planned, Retention

OLD = {"weight": torch.arange(4.0), "step": 1, "progress": {"step": 1, "batch": 0}}
NEW = {"weight": torch.arange(4.0) + 1, "step": 2, "progress": {"step": 2, "batch": 0}}


class DyingFile(io.FileIO):
    """A file whose process is killed when so many bytes are on the disk."""

    dies_at = 0

    def write(self, data: Any) -> int:
        data = bytes(data)
        room = max(self.dies_at - self.tell(), 0)
        if len(data) > room:
            super().write(data[:room])
            kill()
        return super().write(data)


def open_dying(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
    return DyingFile(path, mode) if mode == "w+b" else open(path, mode, *args, **kwargs)


def write_and_die(number_of_bytes: int) -> None:
    DyingFile.dies_at = number_of_bytes
    Path.open = open_dying  # type: ignore[assignment,method-assign]
    write_checkpoint(Path("last.pt"), NEW)


def test_killed_at_any_byte_of_a_write_the_old_checkpoint_is_whole(home: Path) -> None:
    assert done(home, kill_at_any_byte) == (0, "")


def kill_at_any_byte() -> None:
    write_checkpoint(Path("new.pt"), NEW)
    write_checkpoint(Path("last.pt"), OLD)
    size = Path("new.pt").stat().st_size
    # The end holds the archive's directory and the digest: every part of it counts.
    positions = sorted({*range(0, size, size // 20), *range(size - 100, size, 9), size - 1})
    for position in positions:
        assert forked(write_and_die, position) == -9, position
        assert [file.stat().st_size for file in Path().glob(".*.tmp")] == [position]
        assert read_checkpoint(Path("last.pt"))["progress"]["step"] == 1
        store(Path()).forget_after(1)
        assert sorted(os.listdir()) == ["last.pt", "new.pt"]
    assert forked(write_and_die, size) == 0
    assert Path("last.pt").read_bytes() == Path("new.pt").read_bytes()


def store(folder: Path) -> CheckpointStore:
    return CheckpointStore(folder, Retention(last=1, best=1, every=None))


def save_second_epoch_and_die(folder: Path, operation: int) -> None:
    """Save a second epoch, which is the best so far, and die before an operation on the folder."""
    for owner, name in ((Path, "open"), (os, "fsync"), (Path, "replace"), (os, "link"), (Path, "unlink")):
        _die_before(owner, name, operation)
    store(folder).save(NEW, Planned(2, 2, (2,)))


def _die_before(owner: Any, name: str, operation: int) -> None:
    original = getattr(owner, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        _operations.append(name)
        if len(_operations) == operation:
            kill()
        return original(*args, **kwargs)

    setattr(owner, name, counted)


_operations: list[str] = []


def test_killed_before_any_operation_of_a_save_the_folder_is_brought_in_order_by_going_on(home: Path) -> None:
    assert done(home, kill_before_any_operation) == (0, "")


def kill_before_any_operation() -> None:
    codes = []
    while not codes or codes[-1] == -9:
        folder = Path(f"{len(codes)}").absolute()
        folder.mkdir()
        store(folder).save(OLD, Planned(1, 1, (1,)))
        codes.append(forked(save_second_epoch_and_die, folder, len(codes) + 1))
        state, told, _ = store(folder).newest()
        assert told == []
        assert state is not None
        step = state["progress"]["step"]
        store(folder).forget_after(step, (step,))
        expected = {"best.pt": step, "last.pt": step, f"step-0000000{step}-epoch-{step}.pt": step}
        assert {file.name: read_checkpoint(file)["progress"]["step"] for file in folder.iterdir()} == expected
    assert len(codes) > 10
    assert codes == [-9] * (len(codes) - 1) + [0]


def train_and_die_in_write(number: int, number_of_bytes: int) -> int:
    """Die within the so many-th checkpoint of the run."""
    DyingFile.dies_at = number_of_bytes

    def arm() -> None:
        Path.open = open_dying  # type: ignore[assignment,method-assign]

    from runner.runs import store

    before(store, "write_checkpoint", arm, number)
    return train()


@pytest.mark.parametrize(("number", "number_of_bytes"), [(1, 0), (2, 3000), (3, 100)], ids=str)
def test_a_run_killed_within_a_checkpoint_ends_like_the_run_left_alone(
    home: Path, alone: dict[str, Any], number: int, number_of_bytes: int
) -> None:
    assert done(home, train_and_die_in_write, number, number_of_bytes)[0] == -9
    assert [file.name.startswith(".step-") for file in (home / "run" / "checkpoints").glob(".*.tmp")] == [True]
    if number > 1:
        assert checkpoint(home / "run" / "checkpoints" / "last.pt")["progress"]["epoch"] == number - 1
    assert done(home, resume)[0] == 0
    assert result(home / "run") == alone
