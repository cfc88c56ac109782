"""U-Net, for a class at every pixel.

Ronneberger, Fischer, Brox: U-Net: Convolutional networks for biomedical image segmentation, MICCAI 2015,
https://arxiv.org/abs/1505.04597. Departures from the paper:

- Convolutions are padded by one pixel, so the output has the size of the input; the paper's lose a border of 92 pixels.
- Batch normalisation after each convolution can be chosen; the paper predates it.
- Any number of levels, any width and any input size. Pooling rounds up and the way up crops the extra row or column.
  The usual alternatives, zeros beside the upsampled maps or around the input, would show the network borders that no
  image has; rounding up invents nothing, and changes nothing where the size divides by 2 ** levels.

The paper's weights start from a normal distribution of variance 2 / fan_in: ``init=kaiming_normal``.

Shapes: N samples, C channels, H height, W width.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from runner.models.blocks import DoubleConv, Halve


class Down(nn.Sequential):
    """Halve the size, then a double convolution; (N, in, H, W) to (N, out, ceil(H / 2), ceil(W / 2))."""

    def __init__(self, in_channels: int, out_channels: int, *, activation: str, batch_norm: bool) -> None:
        super().__init__()
        self.pool = Halve()
        self.convs = DoubleConv(in_channels, out_channels, activation=activation, batch_norm=batch_norm)


class Up(nn.Module):
    """Double the size, join the maps of the way down, then a double convolution.

    The size is doubled by the paper's trained 2 x 2 up-convolution, not by interpolation, whose gradient on CUDA adds
    in an order that changes from run to run.
    """

    def __init__(self, in_channels: int, out_channels: int, *, activation: str, batch_norm: bool) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.convs = DoubleConv(2 * out_channels, out_channels, activation=activation, batch_norm=batch_norm)

    def forward(self, below: Tensor, across: Tensor) -> Tensor:
        """Join ``below`` (N, in, ceil(H / 2), ceil(W / 2)) and ``across`` (N, out, H, W) to (N, out, H, W)."""
        height, width = across.shape[-2:]
        upsampled = self.upsample(below)[..., :height, :width]
        joined: Tensor = self.convs(torch.cat([across, upsampled], dim=1))
        return joined


class OutConv(nn.Conv2d):
    """The logits of each pixel from its own features: a 1 x 1 convolution."""

    def __init__(self, in_channels: int, outputs: int) -> None:
        super().__init__(in_channels, outputs, kernel_size=1)


class UNet(nn.Module):
    """A way down that gathers context, a way up that restores detail, and a bridge between them at every level.

    Args:
        channels: Image channels.
        outputs: Number of logits at each pixel: the classes, background included.
        width: Maps of the first level; every level below has twice as many. 64 in the paper.
        levels: How often the size is halved. 4 in the paper.
        activation: After every 3 x 3 convolution, a name of ``activation.ACTIVATIONS``; relu in the paper.
        batch_norm: Normalise between convolution and activation.
        dropout: Probability in [0, 1] that a value at the bottom, the end of the way down, is dropped in training.
    """

    def __init__(
        self,
        *,
        channels: int,
        outputs: int,
        width: int,
        levels: int,
        activation: str,
        batch_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        steps = list(pairwise(width * 2**level for level in range(levels + 1)))
        self.first = DoubleConv(channels, width, activation=activation, batch_norm=batch_norm)
        self.down = nn.ModuleList(
            Down(upper, lower, activation=activation, batch_norm=batch_norm) for upper, lower in steps
        )
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ModuleList(
            Up(lower, upper, activation=activation, batch_norm=batch_norm) for upper, lower in reversed(steps)
        )
        self.output = OutConv(width, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, channels, H, W) to logits (N, outputs, H, W), for any H and W of at least one pixel."""
        across = [self.first(images)]
        for down in self.down:
            across.append(down(across[-1]))
        features = self.dropout(across.pop())
        for up in self.up:
            features = up(features, across.pop())
        logits: Tensor = self.output(features)
        return logits
