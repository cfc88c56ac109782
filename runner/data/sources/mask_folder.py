"""Images in one folder, their masks under the same names in another.

H, W: height and width of a picture; h, w: of a tile; C: channels; T: tiles of a picture.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np

from runner.data import fingerprint
from runner.data.decode import Fit, probe, read_image, read_mask, resize_all, resize_masks
from runner.data.files import EXTENSIONS, decode_all, header_of, is_image, require_folder
from runner.data.lazy import FileRows, hold
from runner.data.source import Array, Facts, Progress, Samples, Size, silent
from runner.errors import UserError, listing

_UNKNOWN = 255  # no class: masks are bytes, so there are at most 255 classes
_Pair = tuple[Path, Path]


class MaskFolder:
    """Pictures and masks of the same name (the extensions may differ), whole or cut into tiles.

    Args:
        images: Folder of the pictures.
        masks: Folder of the masks: grey, black and white, or palette images (whose indices count).
        mask_values: The values in the masks in the order of their classes; None: all that are found, sorted.
        class_names: Names of the classes, in the same order.
        tile: Height and width of the tiles that each picture is cut into, from the top left; what is left at the right
            and at the bottom is not used. None keeps the pictures whole. Tiles of one picture stay in one split.
        channels: 1, 3 or 4; ``auto`` takes those of the first picture.
        fit: How pictures and masks are brought to the size of a sample, see ``decode.resize``.
    """

    def __init__(
        self,
        images: str,
        masks: str,
        mask_values: Sequence[int] | None = None,
        class_names: Sequence[str] = (),
        tile: Sequence[int] | None = None,
        channels: int | Literal["auto"] = "auto",
        fit: Fit = "stretch",
    ) -> None:
        self.images = Path(images)
        self.masks = Path(masks)
        self.mask_values = None if mask_values is None else list(mask_values)
        self.class_names = tuple(class_names)
        self.tile = None if tile is None else (tile[0], tile[1])
        self.channels = channels
        self.fit: Fit = fit

    def check(self) -> None:
        """Refuse folders that are not there and settings that do not fit together."""
        require_folder(self.images, "data.source.images")
        require_folder(self.masks, "data.source.masks")
        if self.tile is not None and min(self.tile) < 1:
            raise UserError(f"data.source.tile={list(self.tile)}", expected="height and width in pixels, from 1")
        if self.mask_values is not None:
            _check_values(self.mask_values)
            if self.class_names and len(self.class_names) != len(self.mask_values):
                raise UserError(
                    f"data.source.class_names={list(self.class_names)} does not fit mask_values={self.mask_values}",
                    expected="a name for each value, or none",
                )

    def facts(self) -> Facts:
        """Channels and size of the first picture or its tiles; classes where the settings tell them."""
        channels, size = header_of((image for image, _ in self._pairs), self.channels)
        num_classes = len(self.mask_values or self.class_names) or None
        return Facts(channels, self.tile or size, num_classes, self.class_names)

    def fingerprint(self) -> str:
        """Digest of names, sizes and times of pictures and masks."""
        images, masks = zip(*self._pairs, strict=True)
        return fingerprint.of_values(
            images=fingerprint.of_listing(images, self.images), masks=fingerprint.of_listing(masks, self.masks)
        )

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All pictures sorted by name, or their tiles row by row; ``image_size`` is the size of one sample."""
        return hold(self.stream(image_size, progress), progress)

    def stream(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All pictures sorted by name, or their tiles row by row, to be decoded when they are needed.

        The headers of all pictures are read beforehand, for the number of tiles, and all masks where their values are
        not given. A tile costs as much as its picture, unless several are asked for together.
        """
        names = [str(image) for image, _ in self._pairs]
        headers = decode_all(names, lambda index: probe(self._pairs[index][0]), progress)
        channels = headers[0][0] if self.channels == "auto" else self.channels
        cutter = _Cutter(self._pairs, [size for _, size in headers], self.tile, image_size, channels, self.fit)
        counts = decode_all(names, cutter.count, silent)
        values = self._found(cutter, progress) if self.mask_values is None else self.mask_values
        owners = np.repeat(np.arange(len(names)), counts)
        recipe = {
            "images": os.path.realpath(self.images),
            "masks": os.path.realpath(self.masks),
            "tile": self.tile,
            "image_size": image_size,
            "fit": self.fit,
        }
        return Samples(
            inputs=(FileRows(names, cutter.images, recipe | {"channels": channels}, counts),),
            targets=FileRows(names, partial(cutter.classes, values), recipe | {"values": list(values)}, counts),
            names=[self._pairs[owner][0].name for owner in owners],
            groups=None if self.tile is None else owners,
            class_names=self.class_names,
            mask_values=tuple(values),
        )

    @cached_property
    def _pairs(self) -> list[_Pair]:
        self.check()
        images, masks = _by_stem(self.images), _by_stem(self.masks)
        alone = [f"{images[stem]} has no mask in {self.masks}" for stem in images if stem not in masks]
        alone += [f"{masks[stem]} has no picture in {self.images}" for stem in masks if stem not in images]
        if alone:
            raise UserError(listing(alone, limit=5), expected="pictures and masks of the same name")
        return [(images[stem], masks[stem]) for stem in images]

    def _found(self, cutter: "_Cutter", progress: Progress) -> list[int]:
        """The values of all masks, sorted."""
        names = [str(image) for image, _ in self._pairs]
        values = sorted(set().union(*decode_all(names, cutter.values, progress)))
        if len(values) > _UNKNOWN:
            raise UserError(
                f"the masks in {self.masks} have {len(values)} different values",
                expected=f"one value for each class, at most {_UNKNOWN}",
            )
        return values


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Decodes pictures and masks, cuts them into tiles, and brings these to the size of a sample."""

    pairs: list[_Pair]
    sizes: list[Size]
    """Of each picture, by its header."""
    tile: Size | None
    image_size: Size | None
    channels: int
    fit: Fit

    def count(self, index: int) -> int:
        """Tiles of a picture."""
        (height, width), (h, w) = self.sizes[index], self.tile or self.sizes[index]
        if h > height or w > width:
            raise ValueError(f"is {height} x {width} (height x width), smaller than a tile of {h} x {w}")
        return (height // h) * (width // w)

    def images(self, index: int) -> Array:
        """The tiles of a picture, (T, C, h, w)."""
        image = read_image(self.pairs[index][0], self.channels)
        if image.shape[1:] != self.sizes[index]:
            raise ValueError(f"is {_by(image.shape[1:])} (height x width), its header said {_by(self.sizes[index])}")
        return resize_all(self._cut(image, index), self.image_size, self.fit)

    def masks(self, index: int) -> Array:
        """The tiles of a mask with its values as they stand in the file, (T, h, w) uint8 or uint16."""
        mask_file = self.pairs[index][1]
        mask = _read_mask(mask_file)
        if mask.shape != self.sizes[index]:
            raise ValueError(f"is {_by(self.sizes[index])} (height x width), its mask {mask_file} {_by(mask.shape)}")
        return resize_masks(self._cut(mask, index), self.image_size, self.fit)

    def values(self, index: int) -> set[int]:
        """The values in a mask."""
        return set(np.unique(self.masks(index)).tolist())

    def classes(self, values: Sequence[int], index: int) -> Array:
        """The tiles of a mask with class numbers in place of its ``values``, (T, h, w) uint8."""
        class_of = np.full(2**16, _UNKNOWN, np.uint8)
        class_of[values] = np.arange(len(values))
        tiles = self.masks(index)
        numbered: Array = class_of[tiles]
        unknown = np.unique(tiles[numbered == _UNKNOWN]).tolist()
        if unknown:
            told = f"has the values {listing(unknown, 5)}, mask_values are {list(values)}"
            raise ValueError(f"its mask {self.pairs[index][1]} {told}")
        return numbered

    def _cut(self, pixels: Array, index: int) -> Array:
        """Pixels (..., H, W) as (T, ..., h, w)."""
        (height, width), (h, w) = self.sizes[index], self.tile or self.sizes[index]
        corners = [(y, x) for y in range(0, height - h + 1, h) for x in range(0, width - w + 1, w)]
        return np.stack([pixels[..., y : y + h, x : x + w] for y, x in corners])


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _read_mask(path: Path) -> Array:
    try:
        return read_mask(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"its mask {path} cannot be used ({error})") from error


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not is_image(path.name):
            continue
        if path.stem in found:
            raise UserError(f"{found[path.stem]} and {path} have the same name", expected="one file for each name")
        found[path.stem] = path
    if not found:
        raise UserError(f"the folder {folder} has no images", expected=" ".join(EXTENSIONS))
    return found


def _check_values(values: list[int]) -> None:
    if len(set(values)) != len(values) or not 0 < len(values) <= _UNKNOWN or not all(0 <= v < 2**16 for v in values):
        raise UserError(
            f"data.source.mask_values={values}", expected=f"1 to {_UNKNOWN} different whole numbers of 0..65535"
        )
