"""What is trained on: made from fixed seeds, so that everybody measures the same."""

import csv
import gzip
import struct
from pathlib import Path

import numpy as np

MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def mnist(root: Path, fallback: Path) -> tuple[Path, str]:
    """A folder with MNIST/raw, and in words what that holds: MNIST where ``root`` has it, random images elsewhere.

    Only the pixels differ: the files have the same form and size.
    """
    raw = root / "MNIST" / "raw"
    if all((raw / name).is_file() or (raw / f"{name}.gz").is_file() for name in MNIST_FILES):
        for name in MNIST_FILES:
            if not (raw / name).is_file():  # plain files, as torchvision leaves them
                unpacked = fallback / "MNIST" / "raw" / name
                unpacked.parent.mkdir(parents=True, exist_ok=True)
                unpacked.write_bytes(gzip.decompress((raw / f"{name}.gz").read_bytes()))
        return (root if (raw / MNIST_FILES[0]).is_file() else fallback), "MNIST"
    random_mnist(fallback)
    return fallback, "random images in the form of MNIST"


def prepared_mnist(root: str, fallback: str) -> tuple[str, str]:
    """``mnist`` for another process."""
    folder, told = mnist(Path(root).absolute(), Path(fallback))
    return str(folder), told


def random_mnist(root: Path) -> None:
    """Write 60,000 + 10,000 grey images of 28 x 28 as idx files: a blurred block at a place that the class decides."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for images_name, labels_name, count in ((*MNIST_FILES[:2], 60_000), (*MNIST_FILES[2:], 10_000)):
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        images = generator.integers(0, 96, (count, 28, 28), dtype=np.uint8)
        for digit in range(10):
            row, column = divmod(digit, 4)
            images[labels == digit, 2 + 8 * row : 10 + 8 * row, 6 * column : 6 + 6 * column] += 128
        (raw / images_name).write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (raw / labels_name).write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())


def png_table(folder: Path, count: int) -> Path:
    """Write colour PNGs of 32 x 32 pixels and a CSV file with their names and classes; its path."""
    from PIL import Image

    table = folder / "label.csv"
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(32), np.arange(32))[:, :, None]
    rows = [("image", "label")]
    for number in range(count):
        colours, noise = generator.integers(0, 160, 3), generator.integers(0, 32, (32, 32, 3))
        Image.fromarray((ramp + colours + noise).astype(np.uint8)).save(folder / f"{number:05}.png")
        rows.append((f"{number:05}.png", str(number % 2)))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return table
