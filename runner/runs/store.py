"""Which checkpoints a run has: the newest, the best, and what its retention rule keeps."""

import os
import re
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from runner.errors import UserError
from runner.runs.checkpoints import SHARDS, DamagedCheckpointError, named_shards, read_checkpoint, write_checkpoint
from runner.runs.files import sync_folder

_NAME = re.compile(r"step-(\d+)(?:-epoch-(\d+))?\.pt")


@dataclass(frozen=True, slots=True)
class Retention:
    """Which of the planned checkpoints stay.

    Args:
        last: The newest so many: 1 or more.
        best: Those of the so many best epochs: 1 or more.
        every: Those at the end of every so many epochs: 1 or more; None = no others.
    """

    last: int
    best: int
    every: int | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What makes a checkpoint one that the plan asked for, as against one that a signal did.

    Args:
        step: Optimizer updates done.
        epoch: Epochs completed, when it stands at the end of one; None within an epoch.
        ranking: Steps of the best epochs so far, the best first.
    """

    step: int
    epoch: int | None
    ranking: tuple[int, ...]


class Newest(NamedTuple):
    """The state that a run goes on from."""

    state: dict[str, Any] | None
    """None when nothing was saved."""
    damaged: list[str]
    """A line on each damaged file that was passed over."""
    path: Path | None
    """Of the state."""


class CheckpointStore:
    """``checkpoints/`` of one run.

    A planned checkpoint is ``step-00000120.pt``, or ``step-00000140-epoch-2.pt`` at the end of an epoch. ``last.pt``
    and ``best.pt`` are further names of two of them. What is saved because the run was asked to stop is ``last.pt``
    alone, so that the files that stay do not depend on when a run was interrupted.
    """

    def __init__(self, folder: Path, retention: Retention, whole: bool = True, look_at_shards: bool = True) -> None:
        self.folder = folder
        self.retention = retention
        self.read = partial(read_checkpoint, whole=whole, look_at_shards=look_at_shards)

    def save(self, state: dict[str, Any], planned: Planned | None, check: Callable[[], None] = lambda: None) -> None:
        """Write a checkpoint, then remove those that need not stay.

        Args:
            state: Of the run.
            planned: What it is in the plan; None when the run was asked to stop.
            check: Called when the state is written and before it takes the place of another; what it raises prevents
                that.

        Raises:
            OSError: If it cannot be written; every file that was there is as it was.
        """
        self.folder.mkdir(exist_ok=True)
        if planned is None:
            write_checkpoint(self.folder / "last.pt", state, check)
            return
        ending = "" if planned.epoch is None else f"-epoch-{planned.epoch}"
        path = self.folder / f"step-{planned.step:08d}{ending}.pt"
        write_checkpoint(path, state, check)
        give_name(path, self.folder / "last.pt")
        if planned.ranking and planned.ranking[0] == planned.step:
            give_name(path, self.folder / "best.pt")
        self._prune(planned.ranking)

    def load(self, name: str) -> dict[str, Any]:
        """A checkpoint by name: ``last``, ``best``, or a file's path.

        Raises:
            UserError: If it does not exist or is damaged.
        """
        return load_checkpoint(self.folder, name, self.read)

    def newest(self) -> Newest:
        """The newest good state, and a line on each damaged file passed over.

        Raises:
            UserError: If there are checkpoints and every one is damaged.
        """
        damaged: list[str] = []
        path = self.folder / "last.pt"
        newest = self._read("last.pt", damaged)
        for step, planned in reversed(self._planned()):
            # A process killed between writing a checkpoint and calling it last.pt leaves one that is newer.
            if newest is not None and (step, _epoch_of(planned) is not None) <= _position(newest):
                break
            found = self._read(planned.name, damaged)
            if found is not None:
                newest, path = found, planned
                break
        if newest is None:
            path = self.folder / "best.pt"
            newest = self._read("best.pt", damaged)
        if newest is None and damaged:
            raise UserError(
                f"no checkpoint in {self.folder} is whole: {'; '.join(damaged)}",
                fix="put back a copy of one, or delete the folder's files to start the run over",
            )
        return Newest(newest, damaged, None if newest is None else path)

    def _read(self, name: str, damaged: list[str]) -> dict[str, Any] | None:
        """The state in a file; None where there is none, or, with a line about it, where it is damaged."""
        try:
            return self.read(self.folder / name)
        except FileNotFoundError:
            return None
        except DamagedCheckpointError as error:
            damaged.append(f"{name} is damaged: {error}")
            return None

    def forget_after(self, step: int, ranking: Sequence[int] = ()) -> None:
        """Leave the files as they were at the state that a run goes on from, whatever a killed process was about to do.

        What lies beyond it goes, and so does what was half-written or not yet removed; ``last.pt`` is that state, and
        ``best.pt`` its best.

        Args:
            step: Optimizer updates of that state.
            ranking: Steps of its best epochs, the best first.
        """
        for left in self.folder.glob(".*.tmp"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
        for number, path in self._planned():
            if number > step:
                path.unlink(missing_ok=True)
        at_step = [path for number, path in reversed(self._planned()) if number == step]
        self._let_be(at_step, "last.pt")
        self._let_be(self._ends_of_epoch(ranking[0]) if ranking else [], "best.pt")
        self._prune(ranking)

    def _let_be(self, candidates: Sequence[Path], name: str) -> None:
        """Let the first of some files that is good have a name; if none is, the name stays with what has it."""
        path = self.folder / name
        for candidate in candidates:
            if path.exists() and path.samefile(candidate):
                return
            if _is_good(candidate):
                give_name(candidate, path)
                return

    def _ends_of_epoch(self, step: int) -> list[Path]:
        return [path for number, path in self._planned() if number == step and _epoch_of(path) is not None]

    def _planned(self) -> list[tuple[int, Path]]:
        """The planned checkpoints by step; of those at one step, that at the end of the epoch is the last."""
        found = [
            (int(match[1]), path) for path in self.folder.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))
        ]
        return sorted(found, key=lambda entry: (entry[0], _epoch_of(entry[1]) is not None))

    def _prune(self, ranking: Collection[int]) -> None:
        planned = self._planned()
        keep = {path for _, path in planned[-self.retention.last :]}
        every = self.retention.every
        for step, path in planned:
            epoch = _epoch_of(path)
            is_among_the_best = epoch is not None and step in ranking
            at_multiple = epoch is not None and every is not None and epoch % every == 0
            if not (path in keep or is_among_the_best or at_multiple):
                path.unlink(missing_ok=True)
        self._prune_shards()

    def _prune_shards(self) -> None:
        """Remove the parts of tensors that belong to no checkpoint any more; none, if one cannot be asked."""
        parts = list(self.folder.glob(f"*{SHARDS}"))
        if not parts:
            return
        try:
            named = [named_shards(file) for file in self.folder.glob("*.pt")]
        except DamagedCheckpointError:
            return
        for folder in parts:
            if folder.name not in named:
                shutil.rmtree(folder)


def load_checkpoint(
    folder: Path, name: str, read: Callable[[Path], dict[str, Any]] = read_checkpoint
) -> dict[str, Any]:
    """A checkpoint by name: ``last``, ``best``, or a file's path.

    Raises:
        UserError: If it does not exist, is damaged or cannot be read.
    """
    path = folder / f"{name}.pt" if name in ("last", "best") else Path(name)
    try:
        return read(path)
    except FileNotFoundError:
        present = [file.stem for file in sorted(folder.glob("*.pt"))]
        raise UserError(
            f"there is no checkpoint {path}",
            expected=", ".join(present) if present else "a checkpoint, but the run has not saved one yet",
        ) from None
    except DamagedCheckpointError as error:
        raise UserError(f"the checkpoint {path} is damaged: {error}", fix="--checkpoint with another one") from None
    except OSError as error:  # such as a folder
        raise UserError(
            f"the checkpoint {path} cannot be read: {error.strerror}", expected="best, last or a file"
        ) from error


def _epoch_of(path: Path) -> int | None:
    """The epoch at whose end a planned checkpoint was saved."""
    match = _NAME.fullmatch(path.name)
    return int(match[2]) if match and match[2] else None


def _position(state: dict[str, Any]) -> tuple[int, bool]:
    """Optimizer updates done, and whether the state is that at the end of an epoch."""
    return state["progress"]["step"], state["progress"]["batch"] == 0


def _is_good(path: Path) -> bool:
    try:
        read_checkpoint(path, whole=False)
    except DamagedCheckpointError:
        return False
    return True


def give_name(existing: Path, name: Path) -> None:
    """Let ``name`` be a second name of ``existing``, atomically; a copy where the file system has no hard links.

    The content behind a checkpoint's name is never rewritten, only replaced as a whole: both stay what they are.
    """
    temporary = name.with_name(f".{name.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(existing, temporary)
    except OSError:
        shutil.copyfile(existing, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    temporary.replace(name)
    sync_folder(name.parent)
