"""Random changes to training images, drawn for each sample and carried out for the whole batch at once.

Each is called with images (B, C, H, W) float32 of 0 to 1, their masks (B, H, W) or None, and ``draw``, where
``draw(n)`` gives (B, n) uniform numbers in [0, 1). It returns both, moved alike; nothing is changed in place.

B: samples of a batch, C: channels, H: height, W: width.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from runner.errors import UserError

Draw = Callable[[int], Tensor]
Augmented = tuple[Tensor, Tensor | None]


class Augmentation(Protocol):
    """A random change to a batch of images and masks."""

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The changed images and masks, of the same types, and of the same size unless it is to change that."""
        ...


class HorizontalFlip:
    """Swaps left and right.

    Args:
        p: Probability, 0 to 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(p)

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The images and masks, some of them mirrored."""
        return _where(draw(1)[:, 0] < self.p, lambda values: values.flip(-1), images, masks)


class VerticalFlip:
    """Swaps top and bottom.

    Args:
        p: Probability, 0 to 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(p)

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The images and masks, some of them upside down."""
        return _where(draw(1)[:, 0] < self.p, lambda values: values.flip(-2), images, masks)


class QuarterTurns:
    """Turns square images by 0, 90, 180 or 270 degrees, each as likely."""

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The images and masks, turned counterclockwise.

        Raises:
            UserError: If the images are not square.
        """
        height, width = images.shape[-2:]
        if height != width:
            raise UserError(
                f"QuarterTurns needs square images, these are {height} x {width} (height x width)",
                fix="data.image_size=[N,N], or leave it out of data.augment",
            )
        turns = (draw(1)[:, 0] * 4).long()
        # A turn counterclockwise is a transposition and then a swap of top and bottom; two turns are both swaps.
        images, masks = _where(turns % 2 == 1, lambda values: values.transpose(-1, -2), images, masks)
        images, masks = _where((turns == 1) | (turns == 2), lambda values: values.flip(-2), images, masks)
        return _where(turns >= 2, lambda values: values.flip(-1), images, masks)


class Shift:
    """Moves images by whole pixels, up or down and left or right.

    Args:
        pixels: The farthest move in either direction.
        padding: What comes in from outside: "zeros" (black, and class 0), or "reflection" about the outermost pixels.
    """

    def __init__(self, pixels: int, padding: Literal["zeros", "reflection"] = "zeros") -> None:
        if pixels < 0:
            raise UserError(f"Shift: pixels={pixels} is negative", expected="a whole number from 0")
        self.pixels = pixels
        self.padding = _choice("Shift", padding, ("zeros", "reflection"))

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The images and masks, moved.

        Raises:
            UserError: If the images are too small to be reflected so far.
        """
        height, width = images.shape[-2:]
        if self.padding == "reflection" and self.pixels >= min(height, width):
            raise UserError(f"Shift: pixels={self.pixels} is too far for images of {height} x {width} (height x width)")
        moves = (draw(2) * (2 * self.pixels + 1)).long() - self.pixels
        rows, rows_inside = self._origins(moves[:, :1], height)
        columns, columns_inside = self._origins(moves[:, 1:], width)
        inside = rows_inside[:, :, None] & columns_inside[:, None, :] if self.padding == "zeros" else None
        return _gather(images, rows, columns, inside), None if masks is None else _gather(masks, rows, columns, inside)

    def _origins(self, moves: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Where each row or column comes from, (B, length), and whether that lies inside."""
        origins = torch.arange(length, device=moves.device) - moves
        inside = (origins >= 0) & (origins < length)
        if self.padding == "reflection":
            origins = (length - 1) - ((length - 1) - origins.abs()).abs()
        return origins.clamp(0, length - 1), inside


class RandomCrop:
    """Cuts out a part of each image, anywhere.

    Args:
        size: Height and width of the part.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self.size = _size("RandomCrop", size)

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The parts of images and masks.

        Raises:
            UserError: If the images are smaller than that.
        """
        _require_size("RandomCrop", self.size, images)
        corners, (height, width) = draw(2), self.size
        top = (corners[:, :1] * (images.shape[-2] - height + 1)).long()
        left = (corners[:, 1:] * (images.shape[-1] - width + 1)).long()
        rows = top + torch.arange(height, device=images.device)
        columns = left + torch.arange(width, device=images.device)
        return _gather(images, rows, columns, None), None if masks is None else _gather(masks, rows, columns, None)


class CenterCrop:
    """Cuts out the middle of each image: what evaluation does where training takes a part anywhere.

    Args:
        size: Height and width of the part.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self.size = _size("CenterCrop", size)

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The middle of images and masks; nothing is drawn.

        Raises:
            UserError: If the images are smaller than that.
        """
        _require_size("CenterCrop", self.size, images)
        height, width = self.size
        top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
        window = (..., slice(top, top + height), slice(left, left + width))
        return images[window], None if masks is None else masks[window]


class ColorJitter:
    """Changes brightness, contrast and saturation, in this order, as torchvision's ``ColorJitter`` does each.

    A change of c draws a factor from max(0, 1 - c) to 1 + c: brightness multiplies, contrast moves away from the mean
    grey of the image, saturation moves away from the grey of each pixel. Alpha stays; values are kept in 0 to 1.

    Args:
        brightness: The largest change, 0 or more; 0: none.
        contrast: Likewise.
        saturation: Likewise; without effect on grey images.
    """

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> None:
        for name, change in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            if change < 0:
                raise UserError(f"ColorJitter: {name}={change} is negative", expected="a number of 0 or more")
        self.changes = (brightness, contrast, saturation)

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The images in other colours; the masks as they are."""
        drawn = draw(3)[:, :, None, None, None].unbind(1)
        brightness, contrast, saturation = map(_factor, self.changes, drawn)
        colours, rest = (images[:, :3], images[:, 3:]) if images.shape[1] > 3 else (images, images[:, :0])
        if self.changes[0]:
            colours = (colours * brightness).clamp(0, 1)
        if self.changes[1]:
            colours = _away(colours, _grey(colours).mean(dim=(-3, -2, -1), keepdim=True), contrast)
        if self.changes[2] and colours.shape[1] == 3:
            colours = _away(colours, _grey(colours), saturation)
        return torch.cat([colours, rest], dim=1), masks


class Rotate:
    """Turns images about their centre by any angle: bilinear between pixels, the nearest one for masks.

    Args:
        degrees: The largest angle in either direction, 0 to 180.
        padding: What comes in from outside: "zeros" (black, and class 0), "border" (the outermost pixels go on) or
            "reflection" about the border.
    """

    def __init__(self, degrees: float, padding: Literal["zeros", "border", "reflection"] = "zeros") -> None:
        if not 0 <= degrees <= 180:
            raise UserError(f"Rotate: degrees={degrees}", expected="a number from 0 to 180")
        self.degrees = degrees
        self.padding = _choice("Rotate", padding, ("zeros", "border", "reflection"))

    def __call__(self, images: Tensor, masks: Tensor | None, draw: Draw) -> Augmented:
        """The images and masks, turned."""
        grid = _rotation_grid((draw(1)[:, 0] * 2 - 1) * math.radians(self.degrees), images.shape)
        images = grid_sample(images, grid, "bilinear", self.padding, align_corners=False)
        if masks is not None:
            turned = grid_sample(masks[:, None].float(), grid, "nearest", self.padding, align_corners=False)
            masks = turned[:, 0].to(masks.dtype)
        return images, masks


def _rotation_grid(angles: Tensor, shape: torch.Size) -> Tensor:
    """Where each pixel comes from, (B, H, W, 2), for images (B, C, H, W) turned counterclockwise by angles (B,)."""
    height, width = shape[-2:]
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # grid_sample measures both sides as 2 long, so that a turn needs their true ratio.
    rows = [cosine, -sine * (height / width), zero, sine * (width / height), cosine, zero]
    return affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(shape), align_corners=False)


def _where(chosen: Tensor, change: Callable[[Tensor], Tensor], images: Tensor, masks: Tensor | None) -> Augmented:
    """The chosen samples (B,) changed, the others as they are."""
    images = torch.where(chosen[:, None, None, None], change(images), images)
    return images, None if masks is None else torch.where(chosen[:, None, None], change(masks), masks)


def _gather(values: Tensor, rows: Tensor, columns: Tensor, inside: Tensor | None) -> Tensor:
    """``values[b, ..., rows[b, y], columns[b, x]]`` for all b, y, x; 0 where not ``inside`` (B, H, W)."""
    between = (1,) * (values.ndim - 3)
    batch = torch.arange(len(values), device=values.device).view(-1, 1, 1)
    moved = values.movedim(1, -1) if values.ndim == 4 else values
    gathered = moved[batch, rows[:, :, None], columns[:, None, :]]
    gathered = gathered.movedim(-1, 1) if values.ndim == 4 else gathered
    return gathered if inside is None else gathered * inside.view(len(values), *between, *inside.shape[1:])


def _grey(colours: Tensor) -> Tensor:
    """The luma (ITU-R BT.601) of images (B, 3, H, W) as (B, 1, H, W), with torchvision's weights; grey as it is."""
    if colours.shape[1] != 3:
        return colours
    red, green, blue = colours.unbind(1)
    return (red * 0.2989 + green * 0.587 + blue * 0.114).unsqueeze(1)


def _factor(change: float, drawn: Tensor) -> Tensor:
    """From max(0, 1 - change) to 1 + change, by a number that was drawn from 0 to 1."""
    low = max(0.0, 1 - change)
    return drawn * (1 + change - low) + low


def _away(colours: Tensor, grey: Tensor, factor: Tensor) -> Tensor:
    return (factor * colours + (1 - factor) * grey).clamp(0, 1)


def _size(name: str, size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise UserError(f"{name}: size={list(size)}", expected="[height, width] in pixels, 1 or more")
    return size[0], size[1]


def _require_size(name: str, size: tuple[int, int], images: Tensor) -> None:
    height, width = images.shape[-2:]
    if size[0] > height or size[1] > width:
        raise UserError(
            f"{name}: size={list(size)}, but the images are {height} x {width} (height x width)",
            fix=f"data.load_size=[{max(size[0], height)},{max(size[1], width)}], the size before it",
        )


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise UserError(f"p={p} is no probability", expected="a number from 0 to 1")
    return p


def _choice(name: str, padding: str, choices: tuple[str, ...]) -> str:
    if padding not in choices:
        raise UserError(f"{name}: padding={padding}", expected=" or ".join(choices))
    return padding
