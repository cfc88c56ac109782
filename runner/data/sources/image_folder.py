"""Images in one folder for each class."""

from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from runner.data import fingerprint
from runner.data.decode import Fit
from runner.data.files import EXTENSIONS, header_of, images_below, require_folder
from runner.data.lazy import hold, images_of
from runner.data.source import PART_OF, PARTS, Facts, Progress, Samples, Size, silent
from runner.errors import UserError, listing


class _Listing(NamedTuple):
    files: list[Path]
    targets: list[int]
    official: list[str] | None
    class_names: tuple[str, ...]


class ImageFolder:
    """Images at ``root/class/name.png``, or at ``root/train/class/name.png`` with ``val`` and ``test`` beside it.

    Classes are the folder names, sorted. Folders called train, val and test are the official division; training, valid,
    validation and testing are other names for them, and capitals do not count. Images may lie deeper in the folder of
    their class.

    Args:
        root: The folder.
        channels: 1, 3 or 4; ``auto`` takes those of the first image.
        fit: How images are brought to the size of a sample, see ``decode.resize``.
    """

    def __init__(self, root: str, channels: int | Literal["auto"] = "auto", fit: Fit = "stretch") -> None:
        self.root = Path(root)
        self.channels = channels
        self.fit: Fit = fit

    def check(self) -> None:
        """Refuse a folder that is not there or has no class in it."""
        require_folder(self.root, "data.source.root")
        for part, folder in self._parts().items():
            if not _folders(folder):
                expected = f"{folder}/CLASS/NAME" if part else f"{folder}/CLASS/NAME or {folder}/train/CLASS/NAME"
                raise UserError(f"the folder {folder} has no folders in it", expected=expected)

    def facts(self) -> Facts:
        """Channels and size of the first image, classes from the folder names."""
        channels, size = header_of(self._listing.files, self.channels)
        return Facts(channels, size, len(self._listing.class_names), self._listing.class_names)

    def fingerprint(self) -> str:
        """Digest of names, sizes and times of the images."""
        return fingerprint.of_listing(self._listing.files, self.root)

    def read(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All images, sorted by part, class and name."""
        return hold(self.stream(image_size), progress)

    def stream(self, image_size: Size | None = None, progress: Progress = silent) -> Samples:
        """All images, sorted by part, class and name, to be decoded when they are needed."""
        files, targets, official, class_names = self._listing
        channels, _ = header_of(files, self.channels)
        return Samples(
            inputs=(images_of(files, [str(file) for file in files], self.root, channels, image_size, self.fit),),
            targets=np.array(targets, dtype=np.int64),
            names=[str(file.relative_to(self.root)) for file in files],
            official=None if official is None else np.array(official),
            class_names=class_names,
        )

    @cached_property
    def _listing(self) -> _Listing:
        self.check()
        parts = self._parts()
        class_names = sorted({folder.name for part in parts.values() for folder in _folders(part)})
        files: list[Path] = []
        targets: list[int] = []
        official: list[str] = []
        for part, folder in parts.items():
            for class_folder in _folders(folder):
                found = images_below(class_folder)
                if not found:
                    raise UserError(f"the folder {class_folder} has no images", expected=" ".join(EXTENSIONS))
                files += found
                targets += [class_names.index(class_folder.name)] * len(found)
                official += [part] * len(found)
        return _Listing(files, targets, official if parts.keys() != {""} else None, tuple(class_names))

    def _parts(self) -> dict[str, Path]:
        """The folders of classes by official part; the root itself under "" where there is no division."""
        named: dict[str, list[Path]] = {part: [] for part in PARTS}
        for folder in _folders(self.root):
            if folder.name.lower() in PART_OF:
                named[PART_OF[folder.name.lower()]].append(folder)
        if not named["train"]:
            return {"": self.root}
        for part, folders in named.items():
            if len(folders) > 1:
                raise UserError(f"{listing(folders)} are both for {part}", expected="one folder for each part")
        return {part: folders[0] for part, folders in named.items() if folders}


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
