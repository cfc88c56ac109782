"""What makes an output of what a layer gives.

Shapes: N samples, C channels, H, W: height and width of the target, h, w: of what the layer gives.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class PooledHead(nn.Sequential):
    """The average over all places, then one linear layer; (N, C, ...) to (N, outputs)."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.average = _Average()
        self.output = nn.Linear(channels, outputs)


class _Average(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:  # (N, C, ...) -> (N, C)
        return maps.flatten(2).mean(2) if maps.ndim > 2 else maps


class PixelHead(nn.Module):
    """The logits of each pixel, (N, C, h, w) to (N, outputs, H, W).

    A 1 x 1 convolution, enlarged by repeating pixels: the gradient of a smooth enlargement adds, on CUDA, in an order
    that changes from run to run.

    Args:
        channels: C.
        outputs: Number of logits.
        size: (H, W).
    """

    def __init__(self, channels: int, outputs: int, size: Sequence[int]) -> None:
        super().__init__()
        self.output = nn.Conv2d(channels, outputs, kernel_size=1)
        self.size = tuple(size)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits at the size of the target."""
        return nn.functional.interpolate(self.output(maps), size=self.size, mode="nearest")
