"""A run directory: made whole or not at all, and everything that a run needs is in it."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runner import yaml_text
from runner.errors import UserError
from runner.runs import provenance as provenance_of
from runner.runs.files import read_mapping, sync_folder, write_json
from runner.runs.status import Status
from runner.typed import typed


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The paths of one run. ``RunDirectory.open`` checks that a folder is one."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The frozen configuration."""
        return self.path / "config.yaml"

    @property
    def overrides_file(self) -> Path:
        """What was typed, and the option chosen in each group."""
        return self.path / "overrides.yaml"

    @property
    def provenance_file(self) -> Path:
        """How the run came about."""
        return self.path / "provenance.json"

    @property
    def status_file(self) -> Path:
        """Where the run stands."""
        return self.path / "status.json"

    @property
    def signature_file(self) -> Path:
        """What the model takes and gives; written when the run is executed."""
        return self.path / "signature.json"

    @property
    def log_file(self) -> Path:
        """What the console showed, with times."""
        return self.path / "train.log"

    @property
    def output_file(self) -> Path:
        """What the process printed where there was no terminal: in a sweep, or as a batch job."""
        return self.path / "output.log"

    def log_of_rank(self, rank: int) -> Path:
        """What another process of the run than the first one printed."""
        return self.path / "ranks" / f"{rank}.log"

    @property
    def metrics_file(self) -> Path:
        """A row an epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The folder of the event files."""
        return self.path / "tensorboard"

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """The run in ``path``.

        Raises:
            UserError: If there is no run.
        """
        run = cls(path)
        if run.config_file.is_file():
            return run
        inside = (
            sorted(found.parent for found in path.glob("**/config.yaml") if found.is_file()) if path.is_dir() else []
        )
        raise UserError(
            f"{path} is not a run directory: "
            + ("it has no config.yaml" if path.is_dir() else "there is no such folder"),
            expected="a folder that runner train made, such as outputs/2026-11-20/13-20-33-mlp-digits",
            nearest=str(inside[-1]) if inside else None,
            fix="runner ls shows the runs",
        )

    def config(self) -> dict[str, Any]:
        """The frozen configuration, as plain values.

        Raises:
            UserError: If the file is damaged; likewise for the other files that are read here.
        """
        return read_mapping(self.config_file, yaml_text.load)

    def overrides(self) -> dict[str, Any]:
        """What was typed, when the run was made and when it was resumed, and the choices."""
        return read_mapping(self.overrides_file, yaml_text.load, typed=list, choices=dict)

    def provenance(self) -> dict[str, Any]:
        """How the run came about."""
        return provenance_of.read(self.provenance_file)

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half-written beside its files."""
        for file in self.path.glob(".*.tmp"):
            file.unlink(missing_ok=True)

    def choices(self) -> dict[str, Any]:
        """The option chosen in each configuration group, by group; a list where options combine."""
        return dict(self.overrides()["choices"])

    def values(self) -> dict[str, str]:
        """What was typed for the run, by key."""
        return values_of(self.overrides()["typed"])


def values_of(typed: Sequence[str]) -> dict[str, str]:
    """What was typed, by key and without the signs of adding: ``{"optimizer.lr": "0.1"}``."""
    split = (text.partition("=") for text in typed)
    return {key.lstrip("+~"): value for key, _, value in split}


def timestamped(root: Path, name: str, now: datetime | None = None) -> Path:
    """``root/2026-11-20/13-20-33-name``."""
    now = now or datetime.now()
    return root / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}-{plain_name(name)}"


def plain_name(name: str) -> str:
    """A folder's name without the characters that a shell or Hydra would read."""
    return "".join(character if character.isalnum() or character in "._-" else "-" for character in name)


def create(
    wanted: Path,
    config: Mapping[str, Any],
    *,
    typed: Sequence[str],
    choices: Mapping[str, Any],
    provenance: Mapping[str, Any],
    exactly: bool = False,
) -> RunDirectory:
    """Make a run directory that holds its frozen configuration from its first instant.

    ``wanted`` gets ``-2``, ``-3``, ... when it exists, unless ``exactly`` is set.

    Raises:
        UserError: If ``exactly`` and the folder exists, or the folder cannot be written.
    """

    def fill(draft: Path) -> None:
        run = RunDirectory(draft)
        run.config_file.write_text(yaml_text.dump(dict(config)), encoding="utf-8")
        run.overrides_file.write_text(
            yaml_text.dump({"typed": list(typed), "choices": dict(choices)}), encoding="utf-8"
        )
        write_json(run.provenance_file, provenance)
        Status().write(run.status_file)
        run.checkpoints.mkdir()

    return RunDirectory(make_whole("run directory", wanted, fill, exactly))


def make_whole(what: str, wanted: Path, fill: Callable[[Path], None], exactly: bool = False) -> Path:
    """Make a folder that has all that it begins with from its first instant; where it is.

    It is filled under a temporary name and renamed, which fails if the name is taken: two that are made at the same
    instant never share a folder.

    Args:
        what: What it is.
        wanted: Where it goes; with ``-2``, ``-3``, ... behind the name when that exists.
        fill: Puts into it what it begins with.
        exactly: Whether it is refused when the name is taken.

    Raises:
        UserError: If it cannot be made; nothing is left behind.
    """
    draft = wanted.parent / f".{wanted.name}.{secrets.token_hex(4)}.tmp"
    try:
        draft.mkdir(parents=True)
        fill(draft)
        sync_folder(draft)
        path = _rename_to_free(draft, wanted, exactly)
    except OSError as error:
        problem = f"the {what} {wanted} cannot be made: {error.strerror or error}"
        raise UserError(problem, fix="output_root=FOLDER") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(path.parent)
    return path


def _rename_to_free(draft: Path, wanted: Path, exactly: bool) -> Path:
    """Give a filled folder its name, or with ``-2``, ``-3``, ... one that is free; what it is then called.

    Raises:
        UserError: If ``exactly`` and the folder exists.
        OSError: If it cannot be renamed.
    """
    number = 1
    while True:
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            os.rename(draft, path)  # fails on a folder that is not empty, and none that is given its name here ever is
            return path
        except OSError as error:
            if not path.exists():
                raise
            if exactly:
                raise UserError(
                    f"run_dir={wanted} exists already",
                    fix=f"{typed('runner', 'resume', wanted)}, or another run_dir",
                ) from error
        number += 1


def from_here(path: Path) -> Path:
    """A path as it would be typed: relative where it leads into the current folder."""
    path = path.resolve()
    here = Path.cwd().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path
