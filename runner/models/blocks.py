"""What the convolutional networks here are built from.

Shapes: N samples, C channels, H height, W width.
"""

from typing import Any

from torch import nn

from runner.models.activation import make_activation


class DoubleConv(nn.Sequential):
    """Twice: 3 x 3 convolution, batch normalisation (if wanted), activation; (N, in, H, W) to (N, out, H, W).

    The convolutions have a bias only without batch normalisation, which would subtract it again.
    """

    def __init__(self, in_channels: int, out_channels: int, *, activation: str, batch_norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=not batch_norm)
        if batch_norm:
            self.norm1 = nn.BatchNorm2d(out_channels)
        self.activation1 = make_activation(activation)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=not batch_norm)
        if batch_norm:
            self.norm2 = nn.BatchNorm2d(out_channels)
        self.activation2 = make_activation(activation)


class Halve(nn.MaxPool2d):
    """2 x 2 max pooling that rounds up, (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2)).

    Rounding up keeps the last row and column of an odd size, and never leaves less than one pixel.
    """

    def __init__(self) -> None:
        super().__init__(kernel_size=2, ceil_mode=True)


def convolution_like(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, in_channels: int) -> nn.Module:
    """A convolution like this one, without groups, of so many channels; it has first weights of its own."""
    settings: dict[str, Any] = {
        name: getattr(layer, name)
        for name in ("out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode")
    }
    return type(layer)(in_channels, **settings, bias=layer.bias is not None)
