"""Mean and standard deviation of inputs, to normalise them with.

N: samples, C: channels or features.
"""

import math

import numpy as np

from runner.data.source import Array, Lazy, Progress, silent

_CHUNK = 2**24  # values looked at together: 128 MB in double precision


def channel_stats(
    images: Array | Lazy, indices: Array | None = None, progress: Progress = silent
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all pixels, or of each feature.

    Args:
        images: (N, C, ...) uint8 or uint16, which 255 or 65535 brings to 1, or float32, taken as it is.
        indices: Which of them to look at, as a rule the training split; None: all.
        progress: Told how many have been looked at.

    Returns:
        A value for each, of images on the scale of 0 to 1. The deviation is that of the population; for a channel of
        one value, 1.
    """
    indices = np.arange(len(images)) if indices is None else indices
    per_chunk = max(1, _CHUNK // math.prod(images.shape[1:]))
    count = len(indices) * math.prod(images.shape[2:])  # 1 for features
    white = 1.0 if images.dtype.kind == "f" else float(np.iinfo(images.dtype).max)
    total = np.zeros(images.shape[1])
    squares = np.zeros(images.shape[1])
    for start in range(0, len(indices), per_chunk):
        ids = indices[start : start + per_chunk]
        rows = images[ids] if isinstance(images, np.ndarray) else images.gather(ids)
        chunk = rows.reshape(len(ids), rows.shape[1], -1).astype(np.float64)
        total += chunk.sum(axis=(0, 2))
        squares += np.einsum("ncp,ncp->c", chunk, chunk)
        progress(start + len(ids), len(indices))
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    std = np.where(std > 1e-6 * white, std, white)
    return (mean / white).tolist(), (std / white).tolist()
