"""Where predictions go: a CSV file, or a folder of masks. Neither is there before it is complete."""

import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from PIL import Image

from runner.data.source import Array
from runner.deploy.items import Item
from runner.errors import UserError
from runner.runs.signature import Signature


class Results(Protocol):
    """Takes one prediction after another. As a context manager it removes what was never published."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove what is unfinished."""
        ...

    def take(self, item: Item, prediction: Array) -> None:
        """One sample: probabilities or values (outputs,), or a mask of class numbers (H, W) uint8."""
        ...

    def publish(self) -> None:
        """Give what was taken its name."""
        ...


class CsvResults:
    """A row for each sample: its name, what is predicted, and the probability of each class.

    Args:
        path: The file; one that is there is replaced.
        signature: What the outputs mean.
    """

    def __init__(self, path: Path, signature: Signature) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._task = signature.task
        self._names = signature.names()
        try:
            # Names of files may have bytes that are no characters.
            self._file = self._draft.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            raise UserError(f"-o {path} cannot be written: {error.strerror}") from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(["input", *self._columns()])

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove what is unfinished."""
        self._file.close()
        self._draft.unlink(missing_ok=True)

    def take(self, item: Item, prediction: Array) -> None:
        """Write a row; numbers have as many digits as float32 has."""
        if self._task == "regression":
            cells: list[object] = list(prediction)
        elif self._task == "multilabel":
            cells = [" ".join(self._chosen(prediction)), *prediction]
        else:
            shares = np.array([1 - prediction[0], prediction[0]]) if self._task == "binary" else prediction
            cells = [self._names[int(shares.argmax())], *shares]
        self._writer.writerow([item.name, *map(str, cells)])

    def publish(self) -> None:
        """Rename it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._draft.replace(self._path)

    def _columns(self) -> Sequence[str]:
        if self._task == "regression":
            return ["value"] if len(self._names) == 1 else [f"value_{name}" for name in self._names]
        return ["labels" if self._task == "multilabel" else "class", *(f"p_{name}" for name in self._names)]

    def _chosen(self, shares: Array) -> list[str]:
        return [name for name, share in zip(self._names, shares, strict=True) if share >= 0.5]


class MaskResults:
    """A PNG for each picture, of its size, with the values that the masks of the data have.

    Args:
        folder: The folder; it must not hold anything yet.
        signature: The values in the masks.
        items: All samples, to see beforehand that no two of them get the same name.
    """

    def __init__(self, folder: Path, signature: Signature, items: Sequence[Item]) -> None:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UserError(f"-o {folder} is there already", expected="the name of a new folder, for masks")
        taken: dict[Path, Item] = {}
        for item in items:
            other = taken.setdefault(_mask_name(item), item)
            if other is not item:
                raise UserError(
                    f"{other.name} and {item.name} would have the same mask, {folder / _mask_name(item)}",
                    fix="predict them one after another, into two folders",
                )
        self._folder = folder
        self._draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        values = np.array(signature.mask_values or range(signature.outputs))
        self._values = values.astype(np.uint8 if values.max() <= 255 else np.uint16)
        try:
            self._draft.mkdir()
        except OSError as error:
            raise UserError(f"-o {folder} cannot be made: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove what is unfinished."""
        shutil.rmtree(self._draft, ignore_errors=True)

    def take(self, item: Item, prediction: Array) -> None:
        """Write a mask."""
        file = self._draft / _mask_name(item)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self._values[prediction]).save(file)

    def publish(self) -> None:
        """Rename it."""
        os.rename(self._draft, self._folder)  # takes the place of an empty folder


def _mask_name(item: Item) -> Path:
    """Below the folder, whatever a table says."""
    path = Path(item.relative)
    inside = path if not path.is_absolute() and ".." not in path.parts else Path(path.name)
    return inside.with_suffix(".png")
