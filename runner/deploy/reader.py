"""Reading the inputs of a sample in the form that the model takes."""

from collections.abc import Callable, Sequence

import numpy as np

from runner.data.decode import resize
from runner.data.source import Array, Size
from runner.deploy.items import Item
from runner.runs.signature import Values


class Reader:
    """Reads samples, each of which may be broken.

    Args:
        stored: The inputs of a sample as the run was trained on them, whose channels and depth images are brought to.
        cut: Makes the parts of an image that the model takes one by one, (C, H, W) to (T, C, h, w).
    """

    def __init__(self, stored: Sequence[Values], cut: Callable[[Array], Array]) -> None:
        self._stored = stored
        self._cut = cut

    def __call__(self, item: Item) -> tuple[tuple[Array, ...], Size | None]:
        """The inputs of a sample, each (T, ...), and the (height, width) of its first input, if that is an image.

        Raises:
            Exception: Whatever its reader stumbles over; it is the fault of the file.
        """
        first, *others = (part.read(stored) for part, stored in zip(item.parts, self._stored, strict=True))
        is_image = first.ndim == 3
        tiles = _with_depth(self._cut(first), self._stored[0].dtype) if is_image else first[np.newaxis]
        inputs = [tiles]
        for values, stored in zip(others, self._stored[1:], strict=True):
            if values.ndim == 3:
                values = _with_depth(resize(values, (stored.shape[1], stored.shape[2])), stored.dtype)
            inputs.append(np.repeat(values[np.newaxis], len(tiles), axis=0))
        return tuple(inputs), (first.shape[1], first.shape[2]) if is_image else None


def _with_depth(image: Array, dtype: str) -> Array:
    """An image with another depth: white stays white."""
    if image.dtype.name == dtype:
        return image
    if image.dtype.kind == "f":
        raise ValueError(f"has floating-point values, and the run was trained on {dtype}")
    shares = image.astype(np.float32) / np.iinfo(image.dtype).max
    if dtype == "float32":
        return shares
    return np.rint(shares * np.iinfo(dtype).max).astype(dtype)
