"""Arrays that are ready to be learnt from: tensors of PyTorch, arrays of NumPy, columns of CSV files.

N: samples, C: channels, H: height, W: width, L: length, F: features, K: values of a target.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from runner.data import fingerprint
from runner.data.arrays import ArrayFile, CsvFile, Name, open_arrays
from runner.data.decode import resize_all, resize_masks
from runner.data.labels import Labels, read_labels, require_classes
from runner.data.source import Array, Facts, Progress, Samples, Size, silent
from runner.data.table import parts_of
from runner.errors import UserError, listing

_KEYS = {"train": "data.source.file", "val": "data.source.val_file", "test": "data.source.test_file"}
_LARGEST_MASK = 254  # masks are bytes


class _Entry(NamedTuple):
    """An array in a file."""

    path: Path
    name: Name

    def __str__(self) -> str:
        return f"{listing(self.name) if isinstance(self.name, list) else self.name} of {self.path}"


class Tensors:
    """One or several inputs and a target for each sample, each from an array whose first axis counts the samples.

    ====================  ================================================
    array                 input
    ====================  ================================================
    (N,), (N, F)          features (N, F) float32
    (N, C, L) floats      signals float32
    (N, H, W) integers    grey images (N, 1, H, W) uint8 or uint16
    (N, C, H, W)          images uint8, uint16, or float32 of 0 to 1
    ====================  ================================================

    Args:
        file: A ``.pt``, ``.npz``, ``.npy`` or ``.csv`` file.
        inputs: Names of the inputs in it, in the order of the model's arguments; a list of columns of a CSV file is one
            input. ``{file: FILE, name: NAME}`` takes one from another file. None: all but the target, in the order of
            the file; of a CSV file all other columns as one input.
        label: Name of the target, or columns; likewise. None: the last array or column.
        val_file: Another file with the same names, for validation; None: none.
        test_file: Another one for the test; None: none.
        split: Name of an array or column that says of each sample whether it is for train, val or test; None: none.
        task: What the target is: a class, values, or a mask.
        classes: The labels in the order of their class numbers; None: numbers as they stand, names sorted.
        delimiter: What stands between two columns of a CSV file.
    """

    def __init__(
        self,
        file: str,
        inputs: Sequence[Any] | None = None,
        label: Any = None,
        val_file: str | None = None,
        test_file: str | None = None,
        split: str | int | None = None,
        task: str = "classification",
        classes: Sequence[str | int] | None = None,
        delimiter: str = ",",
    ) -> None:
        others = {"val": val_file, "test": test_file}
        self.files = {"train": Path(file)} | {part: Path(path) for part, path in others.items() if path is not None}
        self.inputs = inputs
        self.label = label
        self.split = split
        self.task = task
        self.classes = None if classes is None else [str(label) for label in classes]
        self.delimiter = delimiter
        self._opened: dict[Path, ArrayFile] = {}

    def check(self) -> None:
        """Refuse files and names that are not there, and inputs and targets of unlike length."""
        if self.split is not None and len(self.files) > 1:
            raise UserError(
                "data.source.split and files of their own for validation or test divide the data twice",
                fix="data.source.split=null, or data.source.val_file=null data.source.test_file=null",
            )
        for part in self.files:
            inputs, target = self._entries(part)
            counts = {str(entry): self._shape(entry)[:1] for entry in (*inputs, target)}
            if () in counts.values():
                scalar = next(name for name, count in counts.items() if not count)
                raise UserError(f"{scalar} is a single number", expected="an array with a row for each sample")
            if (0,) in counts.values():
                raise UserError(f"{', '.join(counts)}: there is not a single sample", expected="a row for each sample")
            if len(set(counts.values())) > 1:
                told = ", ".join(f"{name} has {count[0]}" for name, count in counts.items())
                raise UserError(f"the numbers of samples do not agree: {told}", expected="the same number in each")

    def facts(self) -> Facts:
        """What the shapes of the inputs say, and the target."""
        self.check()
        inputs, target = self._entries("train")
        first, *others = [
            _input(self._file(entry.path, "data.source.inputs").first(entry.name), entry) for entry in inputs
        ]
        features = next((values.shape[1] for values in others if values.ndim == 2), None)
        size = (first.shape[2], first.shape[3]) if first.ndim == 4 else None
        if self.task == "segmentation":
            return Facts(first.shape[1], size, int(self._mask(target).max()) + 1, (), features)
        labels = self._labels([self._cells(part) for part in self.files])
        return Facts(first.shape[1], size, labels.num_classes, labels.names, features, labels.num_values)

    def fingerprint(self) -> str:
        """Digest of the contents of the files."""
        entries = [self._entries(part) for part in self.files]
        return fingerprint.of_contents(
            sorted({entry.path for inputs, target in entries for entry in (*inputs, target)})
        )

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All samples, in the order of the files."""
        self.check()
        columns: list[list[Array]] = []
        targets, cells, official = [], [], []
        for part in self.files:
            inputs, target = self._entries(part)
            arrays = [_finite(_input(self._read(entry), entry), entry) for entry in inputs]
            columns.append([_resized(values, image_size) for values in arrays])
            if self.task == "segmentation":
                masks = self._mask(target)
                if arrays[0].ndim == 4 and arrays[0].shape[2:] != masks.shape[1:]:
                    sizes = [f"{height} x {width}" for height, width in (arrays[0].shape[2:], masks.shape[1:])]
                    raise UserError(
                        f"{inputs[0]} has images of {sizes[0]} (height x width), but {target} masks of {sizes[1]}",
                        expected="masks of the size of their images",
                    )
                targets.append(resize_masks(masks, image_size))
            else:
                cells.append(self._cells(part))
            official.append(np.full(len(columns[-1][0]), part))
        merged = tuple(_joined(values, list(self.files.values())) for values in zip(*columns, strict=True))
        labels = self._labels(cells) if cells else Labels(np.concatenate(targets), (), {}, None)
        progress(len(labels.targets), len(labels.targets))
        titles = tuple(self._titles(entry) for entry in self._entries("train")[0])
        return Samples(
            merged,
            labels.targets,
            official=self._official(official),
            class_names=labels.names,
            columns=titles if any(titles) else (),
        )

    def _titles(self, entry: _Entry) -> tuple[str, ...]:
        """The names of the columns of an input that comes from a CSV file."""
        file = self._file(entry.path, "data.source.inputs")
        if not isinstance(file, CsvFile):
            return ()
        names = entry.name if isinstance(entry.name, list) else [entry.name]
        return tuple(file.names[name] if isinstance(name, int) else name for name in names)

    def _official(self, by_file: list[Array]) -> Array | None:
        if self.split is None:
            return np.concatenate(by_file) if len(by_file) > 1 else None
        entry = _Entry(self.files["train"], self.split)
        parts, problems = parts_of([str(text).strip() for text in self._read(entry, as_text=True)])
        if problems:
            index = min(problems)
            raise UserError(f"data.source.split={self.split}: sample {index} of {entry.path}: {problems[index]}")
        return parts

    def _entries(self, part: str) -> tuple[list[_Entry], _Entry]:
        """Inputs and target of a part."""
        path = self.files[part]
        file = self._file(path, _KEYS[part])
        others = [name for name in file.names if name != str(self.split)]
        target = _entry(others[-1] if self.label is None else self.label, path)
        if self.inputs is not None:
            inputs = [_entry(given, path) for given in self.inputs]
        else:
            taken = {str(name) for name in (target.name if isinstance(target.name, list) else [target.name])}
            left: list[Any] = [name for name in others if name not in taken or target.path != path]
            inputs = [_Entry(path, left)] if isinstance(file, CsvFile) and left else [_Entry(path, n) for n in left]
        if not inputs:
            raise UserError(
                f"{path} has nothing besides the target",
                expected="at least one input beside it",
                fix=file.other_delimiter if isinstance(file, CsvFile) else None,
            )
        return inputs, target

    def _file(self, path: Path, key: str) -> ArrayFile:
        if path not in self._opened:
            self._opened[path] = open_arrays(path, self.delimiter, key)
        return self._opened[path]

    def _shape(self, entry: _Entry) -> tuple[int, ...]:
        return self._file(entry.path, "data.source.inputs").shape(entry.name)

    def _read(self, entry: _Entry, as_text: bool = False) -> Array:
        return self._file(entry.path, "data.source.inputs").read(entry.name, as_text)

    def _mask(self, entry: _Entry) -> Array:
        masks = self._read(entry)
        if masks.ndim != 3 or masks.dtype.kind not in "biu" or masks.min() < 0 or masks.max() > _LARGEST_MASK:
            values = f", values {masks.min()} to {masks.max()}" if masks.size else ""
            raise UserError(
                f"{entry}: shape {masks.shape}, type {masks.dtype}{values}, for task=segmentation",
                expected=f"masks (N, H, W) of whole numbers from 0 to {_LARGEST_MASK}",
            )
        return masks.astype(np.uint8)

    def _cells(self, part: str) -> Array:
        """The target of a part, (N, K), as it stands."""
        _, target = self._entries(part)
        values = _as_text(self._read(target, as_text=True), target)
        if values.ndim > 2:
            raise UserError(
                f"{target}: shape {values.shape}, for task={self.task}",
                expected="a class or values for each sample; masks are for task=segmentation",
            )
        return values if values.ndim == 2 else values[:, np.newaxis]

    def _labels(self, parts: list[Array]) -> Labels:
        _, target = self._entries("train")
        columns = target.name if isinstance(target.name, list) else [target.name]
        values = _joined(parts, list(self.files.values()))
        titles = [str(name) for name in columns]
        if len(titles) != values.shape[1]:
            if self.task in ("classification", "binary"):
                raise UserError(
                    f"{target} has {values.shape[1]} numbers for each sample, and task={self.task} takes a class",
                    expected="(N,) whole numbers",
                    fix="task=multilabel, or task=regression",
                )
            titles = [f"{titles[0]}[{number}]" for number in range(values.shape[1])]
        if values.dtype.kind in "iub" and len(titles) == 1 and self.task in ("classification", "binary"):
            if self.classes is None:
                require_classes(int(values.max()), len(values), f"data.source.label={titles[0]}")
            values = values.astype(np.int64)
            if self.classes is None and values.min() >= 0:  # they need not be read as texts
                return Labels(values[:, 0], (), {}, int(values.max()) + 1)
        labels = read_labels(values.astype(str).tolist(), self.task, titles, "data.source.label", self.classes)
        if labels.problems:
            index = min(labels.problems)
            more = f", and {len(labels.problems) - 1} more samples" if len(labels.problems) > 1 else ""
            raise UserError(f"{target}: sample {index}: {labels.problems[index]}{more}")
        return labels if values.dtype.kind == "U" or labels.num_classes else labels._replace(targets=_values(values))


def _entry(given: Any, path: Path) -> _Entry:
    if isinstance(given, Mapping):
        return _Entry(Path(given["file"]), given["name"])
    return _Entry(path, given)


def _as_text(values: Array, entry: _Entry) -> Array:
    """Bytes as the texts that they are; other values as they stand."""
    if values.dtype.kind != "S":
        return values
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{entry} holds texts that are not UTF-8", expected="texts, or bytes of UTF-8") from error


@np.errstate(over="ignore")  # too large for float32: _finite refuses it
def _input(values: Array, entry: _Entry) -> Array:
    """An array as an input, by the table above."""
    if values.dtype.kind not in "biuf":
        raise UserError(f"{entry} holds no numbers, but {values.dtype}", expected="numbers")
    if values.ndim <= 2:
        return np.ascontiguousarray(values[:, np.newaxis] if values.ndim == 1 else values, dtype=np.float32)
    if values.dtype.kind == "f":
        if values.ndim in (3, 4):
            return np.ascontiguousarray(_channels_first(values, entry), dtype=np.float32)
    elif values.ndim in (3, 4):
        if values.dtype not in (np.uint8, np.uint16):
            low, high = values.min(), values.max()
            if low < 0 or high > np.iinfo(np.uint16).max:
                raise UserError(f"{entry} has values from {low} to {high}", expected="0 to 65535, or floats of 0 to 1")
            values = values.astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16)
        images = values[:, np.newaxis] if values.ndim == 3 else values
        return np.ascontiguousarray(_channels_first(images, entry))
    raise UserError(
        f"{entry} has shape {values.shape}", expected="(N, F), (N, length), (N, C, L), (N, H, W) or (N, C, H, W)"
    )


def _finite(values: Array, entry: _Entry) -> Array:
    """An input of which every number is finite, as in a table: one that is not makes the mean and the loss none."""
    if values.dtype == np.float32 and not np.isfinite([values.min(), values.max()]).all():  # no mask of all of it
        wrong = np.flatnonzero([not np.isfinite(sample).all() for sample in values])
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise UserError(f"{entry}: sample {wrong[0]}{more}: a number is not finite", expected="finite numbers")
    return values


def _channels_first(values: Array, entry: _Entry) -> Array:
    if values.ndim == 4 and values.shape[1] not in (1, 3, 4) and values.shape[3] in (1, 3, 4):
        raise UserError(
            f"{entry} has shape {values.shape}, with the channels at the end",
            expected="(samples, channels, height, width)",
            fix="numpy: images.transpose(0, 3, 1, 2)",
        )
    return values


def _resized(values: Array, size: Size | None) -> Array:
    return resize_all(values, size) if values.ndim == 4 else values


def _values(values: Array) -> Array:
    """Numbers as targets: (N,) where there is one for each sample."""
    return np.ascontiguousarray(values[:, 0] if values.shape[1] == 1 else values, dtype=np.float32)


def _joined(parts: Sequence[Array], files: Sequence[Path]) -> Array:
    """The arrays of all files one after another."""
    for values, path in zip(parts, files, strict=True):
        if values.shape[1:] != parts[0].shape[1:]:
            raise UserError(
                f"{files[0]} has samples of {parts[0].shape[1:]}, but {path} of {values.shape[1:]}",
                expected="one shape for all",
            )
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
