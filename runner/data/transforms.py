"""What is done to a batch where it is made, by a worker if there are any: torchvision's transforms, a user's collate.

B: samples of a batch, C: channels, H: height, W: width.
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.data.loader import Batch
from runner.data.random import fold
from runner.errors import UserError

_PACKAGE = "torchvision.transforms"


def is_torchvision(change: object) -> bool:
    """Whether a change of images is one of torchvision's, which takes one sample after another.

    Raises:
        UserError: If it is of the first version, which cannot move masks along, or would normalise.
    """
    modules = [cls.__module__ for cls in type(change).__mro__]
    if any(module.startswith(f"{_PACKAGE}.v2") for module in modules):
        name = type(change).__name__
        if isinstance(change, sys.modules[f"{_PACKAGE}.v2"].Normalize):
            raise UserError(f"{name} is not for data.augment or data.eval_transforms", fix="data.normalize")
        return True
    if any(module.startswith(_PACKAGE) for module in modules):
        name = type(change).__name__
        raise UserError(f"{_PACKAGE}.{name} cannot move masks along", fix=f"_target_: {_PACKAGE}.v2.{name}")
    return False


class PerSample:
    """Transforms of torchvision, for one sample after another; masks move along with their images.

    What is drawn depends on (seed, epoch, sample) alone: before each sample every generator that a transform may use is
    set to a state of its own, and afterwards to where it was.

    Args:
        changes: ``torchvision.transforms.v2`` transforms, applied in this order. Bytes stay bytes for them; 16 bits are
            floats of 0 to 1.
        seed: Any integer.
        key: The setting that lists them, for messages.
    """

    def __init__(self, changes: Sequence[Callable[..., Any]], seed: int, key: str) -> None:
        self._changes = tuple(changes)
        self._seed = seed
        self._key = key

    def __call__(self, batch: Batch, epoch: int) -> Batch:
        """The batch with its first input, and its masks, changed.

        Raises:
            UserError: If a transform fails, or gives images of several sizes.
        """
        from torchvision import tv_tensors  # an epoch without transforms must not wait for it

        first, *others = batch.inputs
        if first.ndim != 4:
            raise UserError(f"{self._key} changes images, and the first input has none", fix=f"{self._key}=[]")
        if first.dtype == torch.uint16:
            first = first.float().div_(65535)
        has_masks = batch.targets.ndim == 3
        images, masks = [], []
        with _generators_kept():
            for row, index in enumerate(batch.indices.tolist()):
                _seed_generators(fold(self._seed, epoch, index))
                sample: tuple[Any, ...] = (tv_tensors.Image(first[row]),)
                if has_masks:
                    sample = (*sample, tv_tensors.Mask(batch.targets[row]))
                for change in self._changes:
                    sample = self._applied(change, sample)
                images.append(sample[0].as_subclass(Tensor))
                masks += [mask.as_subclass(Tensor) for mask in sample[1:]]
        targets = self._stacked(masks) if has_masks else batch.targets
        return Batch((self._stacked(images), *others), targets, batch.indices)

    def _applied(self, change: Callable[..., Any], sample: tuple[Any, ...]) -> tuple[Any, ...]:
        try:
            changed = change(*sample)
        except (RuntimeError, TypeError, ValueError) as error:
            told = str(error).strip().partition("\n")[0]
            shape = tuple(sample[0].shape)
            raise UserError(
                f"{self._key}: {type(change).__name__} fails for an image of shape {shape}: {told}"
            ) from error
        return tuple(changed) if isinstance(changed, (tuple, list)) else (changed,)

    def _stacked(self, values: list[Tensor]) -> Tensor:
        shapes = {tuple(value.shape) for value in values}
        if len(shapes) > 1:
            one, other = sorted(shapes)[:2]
            raise UserError(
                f"{self._key} gives images of several sizes, such as {one} and {other}",
                expected="one size for all: end with a transform such as RandomCrop or Resize with [height, width]",
            )
        return torch.stack(values)


class Collated:
    """A user's own way to put samples together, as ``DataLoader(collate_fn=...)`` takes it.

    Args:
        collate: Called with a list of samples (input_1, ..., input_k, target), gives (inputs_1, ..., inputs_k, targets)
            with a row for each sample. It must draw nothing at random.
    """

    def __init__(self, collate: Callable[[list[tuple[Tensor, ...]]], Any]) -> None:
        self._collate = collate

    def __call__(self, batch: Batch, epoch: int) -> Batch:
        """The batch, put together anew.

        Raises:
            UserError: If something else than a tensor for each input and the targets comes out.
        """
        columns = (*batch.inputs, batch.targets)
        made = self._collate([tuple(column[row] for column in columns) for row in range(len(batch.indices))])
        rows = len(batch.indices)
        if not isinstance(made, (tuple, list)) or len(made) < 2 or not all(isinstance(one, Tensor) for one in made):
            raise UserError("data.collate gave something else than tensors", expected="(inputs, ..., targets)")
        if any(len(values) != rows for values in made):
            counts = [len(values) for values in made]
            raise UserError(f"data.collate gave {counts} rows for {rows} samples", expected="one row for each sample")
        return Batch(tuple(made[:-1]), made[-1], batch.indices)


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Leave the generators of torch (on the CPU), NumPy and Python as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def _seed_generators(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
