"""An ordinary torch ``Dataset`` as a source: what is written for a DataLoader works here as it stands."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from runner.data import fingerprint
from runner.data.decode import from_pillow, resize, resize_mask
from runner.data.files import report, stack
from runner.data.source import Array, Facts, Progress, Samples, Size, Source, silent
from runner.errors import UserError, in_short
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
        dataset: Its inputs are images (C, H, W) or (H, W), as tensors, arrays or PIL images, signals (C, L) where
            images have no size, or features (F,); its target is a class, a mask (H, W), a value or a vector of values.
            If it has ``classes``, they are the names.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._digest: str | None = None

    def check(self) -> None:
        """Refuse a Dataset without samples."""
        if not len(self.dataset):
            raise UserError(f"data.source: {type(self.dataset).__name__} is empty")

    def facts(self) -> Facts:
        """Channels, size and numbers of the first sample; the classes, if the Dataset lists them."""
        self.check()
        try:
            first, *others, target = _arrays(_sample(self.dataset, 0))
        except ValueError as error:
            raise UserError(f"{_name(0)}: {error}") from error
        class_names = _class_names(self.dataset)
        size = (first.shape[1], first.shape[2]) if first.ndim == 3 else None
        features = next((len(values) for values in others if values.ndim == 1), None)
        values = len(target) if target.ndim == 1 else 1
        return Facts(first.shape[0], size, len(class_names) or None, class_names, features, values)

    def fingerprint(self) -> str:
        """Digest of all samples, because nothing else is known of a Dataset. Free after they were read."""
        if self._digest is None:
            self.read()
        assert self._digest is not None
        return self._digest

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All samples in the order of the Dataset."""
        self.check()
        samples = _read(self.dataset, has_size=image_size is not None, progress=progress)
        self._digest = fingerprint.of_arrays(values for sample in samples for values in sample)
        return _assemble(samples, _class_names(self.dataset), image_size)


def _read(dataset: Any, has_size: bool, progress: Progress) -> list[tuple[Array, ...]]:
    """All samples one after another: a Dataset need not bear several threads."""
    count = len(dataset)
    samples, problems = [], []
    for index in range(count):
        try:
            sample = _sample(dataset, index)
        except (MemoryError, UserError):
            raise
        except Exception as error:  # whatever the user's code raises
            place = place_of(error)
            problems.append((_name(index), f"{type(error).__name__}: {error}{f' ({place})' if place else ''}"))
        else:
            try:
                samples.append(_arrays(sample, has_size))
            except ValueError as error:
                problems.append((_name(index), str(error)))
        progress(index + 1, count)
    report(problems, count)
    return samples


def _sample(dataset: Any, index: int) -> Sequence[Any]:
    sample = dataset[index]
    if not isinstance(sample, (tuple, list)) or len(sample) < 2:
        raise UserError(
            f"{type(dataset).__name__}[{index}] is {type(sample).__name__}", expected="a tuple (input, ..., target)"
        )
    return sample


def _arrays(sample: Sequence[Any], has_size: bool = True) -> tuple[Array, ...]:
    """Inputs and target.

    Args:
        sample: As the Dataset gives it.
        has_size: Whether inputs are brought to the size of images: what has two axes is a grey image then, whatever its
            type.

    Raises:
        ValueError: With what is wrong, if one of them is nothing that can be learnt from, or would be misread.
    """
    inputs, target = [_input(value, has_size) for value in sample[:-1]], _target(sample[-1])
    if target.ndim == 2 and inputs[0].ndim == 3 and inputs[0].shape[1:] != target.shape:
        sizes = [f"{height} x {width}" for height, width in (inputs[0].shape[1:], target.shape)]
        raise ValueError(f"the image is {sizes[0]} (height x width), its mask {sizes[1]}")
    return (*inputs, target)


def _input(value: Any, has_size: bool) -> Array:
    """(C, H, W) uint8, uint16 or float32; (C, L) float32; or (F,) float32."""
    if hasattr(value, "getbands"):  # a PIL image
        return from_pillow(value)
    array = _numbers(value, "the input")
    if array.ndim >= 2 and array.dtype.kind in "iu" and array.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"the input of shape {array.shape} is {array.dtype}, where images are uint8, or floats of 0 to 1"
        )
    if array.ndim == 3 and array.shape[0] not in (1, 3, 4) and array.shape[2] in (1, 3, 4):
        raise ValueError(
            f"the input of shape {array.shape} has its channels at the end, where images are (channels, height, width)"
        )
    if array.ndim <= 1 or array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.float32)
    is_grey = array.ndim == 2 and (has_size or array.dtype != np.float32)
    return array[np.newaxis] if is_grey else np.atleast_1d(array)


def _target(value: Any) -> Array:
    """Class () int64, mask (H, W) uint8, value () or values (K,) float32."""
    array = _numbers(value, "the target")
    if array.ndim == 2:
        if array.min() < 0 or array.max() > 255:
            raise ValueError("a mask has values outside 0..255")
        if array.dtype.kind == "f" and (array % 1).any():  # ToTensor divides by 255
            raise ValueError(f"a mask has the value {array[array % 1 != 0][0]:.4g}, where classes are whole numbers")
        return array.astype(np.uint8)
    is_class = array.ndim == 0 and array.dtype.kind in "iub"
    return array.astype(np.int64 if is_class else np.float32)


def _numbers(value: Any, what: str) -> Array:
    if hasattr(value, "detach"):  # a tensor, whatever its type, device and history
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        told = f"{value!r}" if isinstance(value, (str, bytes)) else type(value).__name__
        raise ValueError(f"{what} is {in_short(told)}, where numbers are expected")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"a number of {what} is not finite")
    return array


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
