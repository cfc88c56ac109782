"""An ordinary torch ``Dataset`` as a source: what is written for a DataLoader works here as it stands."""

from typing import Any

import numpy as np

from runner.data import fingerprint
from runner.data.decode import resize, resize_mask
from runner.data.files import report, stack
from runner.data.source import Array, Facts, Progress, Samples, Size, Source, silent
from runner.errors import UserError
from runner.traces import place_of


def as_source(thing: Any) -> Source:
    """A source as it is, a map-style Dataset wrapped.

    Raises:
        UserError: If it is neither.
    """
    if isinstance(thing, Source):
        return thing
    if hasattr(thing, "__getitem__") and hasattr(thing, "__len__"):
        return DatasetSource(thing)
    raise UserError(
        f"data.source: {type(thing).__name__} is nothing that samples can be read from",
        expected="a class with check, facts, fingerprint and read, or a Dataset with __getitem__ and __len__",
    )


class DatasetSource:
    """A map-style Dataset of (input_1, ..., input_k, target), read once and then held in memory.

    What it does at random it does once, so augmentation belongs into ``data.augment``.

    Args:
        dataset: Its inputs are images (C, H, W) or (H, W), as tensors, arrays or PIL images, or features (F,); its
            target is a class, a mask (H, W), a value or a vector of values. If it has ``classes``, they are the names.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._digest: str | None = None

    def check(self) -> None:
        """Refuse a Dataset without samples."""
        if not len(self.dataset):
            raise UserError(f"data.source: {type(self.dataset).__name__} is empty")

    def facts(self) -> Facts:
        """Channels and size of the first sample; the classes, if the Dataset lists them."""
        self.check()
        first = _sample(self.dataset, 0)[0]
        class_names = _class_names(self.dataset)
        size = (first.shape[1], first.shape[2]) if first.ndim == 3 else None
        return Facts(first.shape[0], size, len(class_names) or None, class_names)

    def fingerprint(self) -> str:
        """Digest of all samples, because nothing else is known of a Dataset. Free after they were read."""
        if self._digest is None:
            self.read()
        assert self._digest is not None
        return self._digest

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All samples in the order of the Dataset."""
        self.check()
        samples = _read(self.dataset, progress)
        self._digest = fingerprint.of_arrays(values for sample in samples for values in sample)
        return _assemble(samples, _class_names(self.dataset), image_size)


def from_dataset(dataset: Any, image_size: Size | None = None, progress: Progress = silent) -> Samples:
    """Everything that a map-style Dataset holds.

    Raises:
        UserError: If a sample cannot be read, or does not fit to the others; it says which.
    """
    return DatasetSource(dataset).read(image_size, progress)


def _read(dataset: Any, progress: Progress) -> list[tuple[Array, ...]]:
    """All samples one after another: a Dataset need not bear several threads."""
    count = len(dataset)
    samples, problems = [], []
    for index in range(count):
        try:
            samples.append(_sample(dataset, index))
        except (MemoryError, UserError):
            raise
        except Exception as error:  # whatever the user's code raises
            place = place_of(error)
            problems.append((_name(index), f"{type(error).__name__}: {error}{f' ({place})' if place else ''}"))
        progress(index + 1, count)
    report(problems, count)
    return samples


def _sample(dataset: Any, index: int) -> tuple[Array, ...]:
    sample = dataset[index]
    if not isinstance(sample, (tuple, list)) or len(sample) < 2:
        raise UserError(
            f"{type(dataset).__name__}[{index}] is {type(sample).__name__}", expected="a tuple (input, ..., target)"
        )
    return (*(_input(value) for value in sample[:-1]), _target(sample[-1]))


def _input(value: Any) -> Array:
    """(C, H, W) uint8, uint16 or float32; or (F,) float32."""
    if hasattr(value, "getbands"):  # a PIL image
        pixels = np.asarray(value if value.mode in ("L", "RGB", "RGBA", "I;16") else value.convert("RGB"))
        return pixels[np.newaxis] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    array = np.asarray(value)
    if array.ndim == 1 or array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.float32)
    return array[np.newaxis] if array.ndim == 2 else np.atleast_1d(array)


def _target(value: Any) -> Array:
    """Class () int64, mask (H, W) uint8, value () or values (K,) float32."""
    array = np.asarray(value)
    if array.ndim == 2:
        if array.min() < 0 or array.max() > 255:
            raise ValueError("a mask has values outside 0..255")
        return array.astype(np.uint8)
    is_class = array.ndim == 0 and array.dtype.kind in "iub"
    return array.astype(np.int64 if is_class else np.float32)


def _assemble(samples: list[tuple[Array, ...]], class_names: tuple[str, ...], image_size: Size | None) -> Samples:
    names = [_name(index) for index in range(len(samples))]
    *inputs, targets = (list(column) for column in zip(*samples, strict=True))
    if image_size is not None:
        inputs = [[resize(value, image_size) if value.ndim == 3 else value for value in column] for column in inputs]
        targets = [resize_mask(value, image_size) if value.ndim == 2 else value for value in targets]
    columns = tuple(stack(column, names) for column in inputs)
    return Samples(columns, stack(targets, names), names=names, class_names=class_names)


def _class_names(dataset: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in getattr(dataset, "classes", None) or ())


def _name(index: int) -> str:
    return f"sample {index}"
