"""A small convolutional network for images of any size."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from runner.models.blocks import DoubleConv, Halve


class ConvNet(nn.Sequential):
    """Double convolutions with pooling between them, (N, channels, H, W) to logits (N, outputs).

    The averages over all pixels of the last block's maps feed one linear layer, so the weights fit every image size.
    Pooling rounds up: from the block on whose maps are a single pixel, it does nothing.

    Args:
        channels: Image channels.
        outputs: Number of logits.
        widths: Maps of each block; every block but the first works at half the size of the one before.
        activation: After every convolution, a name of ``activation.ACTIVATIONS``.
        batch_norm: Normalise between convolution and activation.
        dropout: Probability in [0, 1] that an averaged map is dropped in training.
    """

    def __init__(
        self,
        *,
        channels: int,
        outputs: int,
        widths: Sequence[int],
        activation: str,
        batch_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        for number, (fan_in, fan_out) in enumerate(pairwise([channels, *widths]), start=1):
            if number > 1:
                self.add_module(f"pool{number - 1}", Halve())
            block = DoubleConv(fan_in, fan_out, activation=activation, batch_norm=batch_norm)
            self.add_module(f"block{number}", block)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(widths[-1], outputs)
