"""Which checkpoints a run has: the newest, the best, and what its retention rule keeps."""

import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.runs.checkpoints import DamagedCheckpointError, read_checkpoint, write_checkpoint
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


class CheckpointStore:
    """``checkpoints/`` of one run.

    A planned checkpoint is ``step-00000120.pt``, or ``step-00000140-epoch-2.pt`` at the end of an epoch. ``last.pt``
    and ``best.pt`` are further names of two of them. What is saved because the run was asked to stop is ``last.pt``
    alone, so that the files that stay do not depend on when a run was interrupted.
    """

    def __init__(self, folder: Path, retention: Retention) -> None:
        self.folder = folder
        self.retention = retention

    def save(self, state: dict[str, Any], planned: Planned | None) -> None:
        """Write a checkpoint, then remove those that need not stay.

        Raises:
            OSError: If it cannot be written; every file that was there is as it was.
        """
        self.folder.mkdir(exist_ok=True)
        if planned is None:
            write_checkpoint(self.folder / "last.pt", state)
            return
        ending = "" if planned.epoch is None else f"-epoch-{planned.epoch}"
        path = self.folder / f"step-{planned.step:08d}{ending}.pt"
        write_checkpoint(path, state)
        give_name(path, self.folder / "last.pt")
        if planned.ranking and planned.ranking[0] == planned.step:
            give_name(path, self.folder / "best.pt")
        self._prune(planned.ranking)

    def load(self, name: str) -> dict[str, Any]:
        """A checkpoint by name: ``last``, ``best``, or a file's path.

        Raises:
            UserError: If it does not exist or is damaged.
        """
        path = self.folder / f"{name}.pt" if name in ("last", "best") else Path(name)
        try:
            return read_checkpoint(path)
        except FileNotFoundError:
            present = [file.stem for file in sorted(self.folder.glob("*.pt"))]
            raise UserError(
                f"there is no checkpoint {path}",
                expected=", ".join(present) if present else "a checkpoint, but the run has not saved one yet",
            ) from None
        except DamagedCheckpointError as error:
            raise UserError(f"the checkpoint {path} is damaged: {error}", fix="--checkpoint with another one") from None

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest good state, or None when nothing was saved; and a line on each damaged file passed over.

        Raises:
            UserError: If there are checkpoints and every one is damaged.
        """
        damaged: list[str] = []
        planned = [path for _, path in reversed(self._planned())]
        for path in [self.folder / "last.pt", *planned, self.folder / "best.pt"]:
            try:
                return read_checkpoint(path), damaged
            except FileNotFoundError:
                continue
            except DamagedCheckpointError as error:
                damaged.append(f"{path.name} is damaged: {error}")
        if damaged:
            raise UserError(
                f"no checkpoint in {self.folder} is whole: {'; '.join(damaged)}",
                fix="put back a copy of one, or delete the folder's files to start the run over",
            )
        return None, damaged

    def forget_after(self, step: int) -> None:
        """Remove what lies beyond the state that a run goes on from, and what a killed process left half-written."""
        for file in self.folder.glob(".*.tmp"):
            file.unlink(missing_ok=True)
        for number, path in self._planned():
            if number > step:
                path.unlink(missing_ok=True)

    def _planned(self) -> list[tuple[int, Path]]:
        """The planned checkpoints by step."""
        found = ((_NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*.pt"))
        return sorted((int(match[1]), path) for match, path in found if match)

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


def _epoch_of(path: Path) -> int | None:
    """The epoch at whose end a planned checkpoint was saved."""
    match = _NAME.fullmatch(path.name)
    return int(match[2]) if match and match[2] else None


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
