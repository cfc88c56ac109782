"""Images in one folder, their masks under the same names in another.

H, W: height and width of a picture; h, w: of a tile; C: channels; T: tiles of a picture.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from runner.data import fingerprint
from runner.data.decode import read_image, read_mask, resize, resize_mask
from runner.data.files import EXTENSIONS, decode_all, header_of, is_image, report, require_folder, stack
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
    """

    def __init__(
        self,
        images: str,
        masks: str,
        mask_values: Sequence[int] | None = None,
        class_names: Sequence[str] = (),
        tile: Sequence[int] | None = None,
        channels: int | Literal["auto"] = "auto",
    ) -> None:
        self.images = Path(images)
        self.masks = Path(masks)
        self.mask_values = None if mask_values is None else list(mask_values)
        self.class_names = tuple(class_names)
        self.tile = None if tile is None else (tile[0], tile[1])
        self.channels = channels

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
        channels, _ = header_of((image for image, _ in self._pairs), self.channels)
        names = [str(image) for image, _ in self._pairs]

        def decode(index: int) -> tuple[Array, Array]:
            image_file, mask_file = self._pairs[index]
            images, masks = self._cut(read_image(image_file, channels), _read_mask(mask_file), mask_file)
            if image_size is not None:
                images = np.stack([resize(image, image_size) for image in images])
                masks = np.stack([resize_mask(mask, image_size) for mask in masks])
            return images, masks

        decoded = decode_all(names, decode, progress)
        counts = [len(images) for images, _ in decoded]
        owners = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
        targets = self._number([masks for _, masks in decoded])
        inputs = stack([image for images, _ in decoded for image in images], owners)
        return Samples(
            inputs=(inputs,),
            targets=stack([mask for masks in targets for mask in masks], owners),
            names=[Path(name).name for name in owners],
            groups=None if self.tile is None else np.repeat(np.arange(len(counts)), counts),
            class_names=self.class_names,
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

    def _cut(self, image: Array, mask: Array, mask_file: Path) -> tuple[Array, Array]:
        """Tiles (T, C, h, w) and (T, h, w) of an image (C, H, W) and its mask (H, W)."""
        height, width = image.shape[1:]
        if mask.shape != (height, width):
            raise ValueError(
                f"is {height} x {width} (height x width), its mask {mask_file} {mask.shape[0]} x {mask.shape[1]}"
            )
        h, w = self.tile or (height, width)
        if h > height or w > width:
            raise ValueError(f"is {height} x {width} (height x width), smaller than a tile of {h} x {w}")
        corners = [(y, x) for y in range(0, height - h + 1, h) for x in range(0, width - w + 1, w)]
        images = np.stack([image[:, y : y + h, x : x + w] for y, x in corners])
        return images, np.stack([mask[y : y + h, x : x + w] for y, x in corners])

    def _number(self, masks: list[Array]) -> list[Array]:
        """The masks (T, h, w) of each picture with class numbers, uint8, in place of their values."""
        values = self.mask_values
        if values is None:
            values = sorted({int(value) for tiles in masks for value in np.unique(tiles)})
            if len(values) > _UNKNOWN:
                raise UserError(
                    f"the masks in {self.masks} have {len(values)} different values",
                    expected=f"one value for each class, at most {_UNKNOWN}",
                )
        class_of = np.full(2**16, _UNKNOWN, np.uint8)
        class_of[values] = np.arange(len(values))
        numbered = [class_of[tiles] for tiles in masks]
        problems = []
        for (_, mask_file), tiles, classes in zip(self._pairs, masks, numbered, strict=True):
            unknown = np.unique(tiles[classes == _UNKNOWN]).tolist()
            if unknown:
                problems.append((str(mask_file), f"has the values {listing(unknown, 5)}, mask_values are {values}"))
        report(problems, len(masks))
        return numbered


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
