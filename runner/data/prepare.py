"""From a batch as it is stored to what the model takes: on the device, floating point, augmented, normalised.

B: samples of a batch, C: channels, H: height, W: width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from runner.data.augment import Augmentation
from runner.data.cutmix import Blend
from runner.data.loader import Batch
from runner.data.random import Draws
from runner.errors import UserError

_WHITE = {torch.uint8: 255, torch.uint16: 65535}


class Prepare:
    """Prepares batches, every one by itself: the result depends on (seed, epoch, samples) alone.

    Images, whole numbers in the store, are float32 of 0 to 1 afterwards, as torchvision's ``ToTensor`` gives them.
    Normalisation concerns the first input, and augmentation too, where it is an image.

    Args:
        mean: Subtracted from each channel of an image (on the scale of 0 to 1) or a signal, or from each feature. One
            value, or one for each. None: nothing.
        std: Divided by afterwards; likewise.
        augment: Applied in this order, in training only.
        evaluate: Applied in this order, in evaluation only.
        seed: Decides the augmentation, together with the epoch and the sample.
        device: Where the model is.
        blend: Blends the first input and the classes of a training batch, after all else.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        augment: Sequence[Augmentation] = (),
        evaluate: Sequence[Augmentation] = (),
        seed: int = 0,
        device: torch.device | str = "cpu",
        blend: Blend | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._is_elsewhere = self._device.type != "cpu"  # where loaders leave batches
        self._mean = _per_channel("mean", mean, self._device)
        self._std = _per_channel("std", std, self._device)
        self._changes = {True: tuple(augment), False: tuple(evaluate)}
        self._seed = seed
        self.memory_format = torch.contiguous_format
        """Of the images; ``torch.channels_last`` suits convolutions."""
        self._blend = blend

    def __call__(self, batch: Batch, epoch: int = 0, training: bool = False) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs and targets on the device.

        Args:
            batch: As it comes from the loader; it is not changed.
            epoch: The running epoch, from which the augmentation is drawn.
            training: Whether to augment, rather than do what evaluation does.

        Returns:
            Inputs: images (B, C, H, W) float32, features (B, F) float32. Targets: classes (B,) or masks (B, H, W)
            int64, values float32; with a blend the shares of the classes (B, K) float32.

        Raises:
            UserError: If mean or std do not fit to the channels, or a change does not give back what it was given.
        """
        # Moved first and converted there: whole numbers are a quarter of the bytes.
        first, *others = map(self._converted, batch.inputs)
        targets = self._moved(batch.targets)
        if self._changes[training] and first.ndim == 4:
            draw = Draws(self._seed, epoch, self._moved(batch.indices))
            first, targets = self._changed(self._changes[training], first, targets, draw)
        if self._mean is not None or self._std is not None:
            first = self._normalised(first, batch.inputs[0])
        if targets.dtype is not torch.int64 and not targets.is_floating_point():
            targets = targets.long()
        if training and self._blend is not None:
            leading = int(batch.indices[0]) if batch.part is None else batch.part.first
            first, targets = self._blend(first, targets, leading, epoch)
            if batch.part is not None and batch.part.has_lead:  # it was there to be blended with
                first, targets, others = first[1:], targets[1:], [values[1:] for values in others]
        return (first, *others), targets

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self._device, non_blocking=True) if self._is_elsewhere else values

    def _converted(self, values: Tensor) -> Tensor:
        values = self._moved(values)
        if values.ndim != 4:
            return values
        white = _WHITE.get(values.dtype)
        values = values.to(torch.float32, memory_format=self.memory_format)
        return values.div_(white) if white else values

    def _normalised(self, first: Tensor, stored: Tensor) -> Tensor:
        if first.untyped_storage().data_ptr() == stored.untyped_storage().data_ptr():
            first = first.clone()  # what follows works in place
        if self._mean is not None:
            first.sub_(_fitting(self._mean, first, "mean"))
        if self._std is not None:
            first.div_(_fitting(self._std, first, "std"))
        return first

    def _changed(
        self, changes: Sequence[Augmentation], images: Tensor, targets: Tensor, draw: Draws
    ) -> tuple[Tensor, Tensor]:
        masks = targets if targets.ndim == 3 else None
        for change in changes:
            changed = change(images, masks, draw)
            if not isinstance(changed, (tuple, list)) or len(changed) != 2 or (changed[1] is None) != (masks is None):
                raise _returned(change, changed, masks is not None)
            images, masks = changed
        images = images.contiguous(memory_format=self.memory_format)
        return images, targets if masks is None else masks


def _returned(change: Augmentation, changed: object, with_masks: bool) -> UserError:
    """What to say of a change, which may be the user's, that gives something else than it was given."""
    given = changed if isinstance(changed, (tuple, list)) else (changed,)
    told = ", ".join("None" if one is None else f"a {type(one).__name__}" for one in given)
    return UserError(
        f"data.augment or data.eval_transforms: {type(change).__name__} gives {told}",
        expected="a tuple: the images, and "
        + ("the masks, moved along" if with_masks else "None, where it got no masks"),
    )


def _per_channel(key: str, values: Sequence[float] | None, device: torch.device) -> Tensor | None:
    """(C,) float32; None where dividing or subtracting would change nothing."""
    if values is None:
        return None
    if key == "std" and not all(value > 0 for value in values):
        raise UserError(f"data.normalize.std={list(values)}", expected="numbers above 0")
    return torch.tensor(values, dtype=torch.float32, device=device)


def _fitting(values: Tensor, inputs: Tensor, key: str) -> Tensor:
    """The values in a shape that meets the channels or features of the inputs."""
    if len(values) not in (1, inputs.shape[1]):
        meant = {4: "images", 3: "signals"}.get(inputs.ndim)
        whose = f"the {meant} have {inputs.shape[1]} channels" if meant else f"there are {inputs.shape[1]} features"
        raise UserError(
            f"data.normalize.{key} has {len(values)} values, and {whose}",
            expected="one value, or one for each",
        )
    return values.view(-1, *(1,) * (inputs.ndim - 2))
