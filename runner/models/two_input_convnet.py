"""A network for samples that are an image and a row of features, such as a photograph and what is known of it."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from runner.models.activation import make_activation
from runner.models.blocks import DoubleConv, Halve


class TwoInputConvNet(nn.Module):
    """Image (N, channels, H, W) and features (N, F) to logits (N, outputs).

    Double convolutions make averages of maps of the image, one layer makes units of the features; a hidden layer sees
    both behind each other.

    Args:
        channels: Image channels.
        outputs: Number of logits.
        widths: Maps of each block of convolutions; every block but the first works at half the size.
        features: F, how many there are.
        feature_width: Units that the features become.
        hidden: Units of the layer that sees both.
        activation: After every layer but the last, a name of ``activation.ACTIVATIONS``.
        batch_norm: Normalise between convolution and activation.
        dropout: Probability in [0, 1] that a unit of the hidden layer is dropped in training.
    """

    def __init__(
        self,
        *,
        channels: int,
        outputs: int,
        widths: Sequence[int],
        features: int,
        feature_width: int,
        hidden: int,
        activation: str,
        batch_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.image = nn.Sequential()
        for number, (fan_in, fan_out) in enumerate(pairwise([channels, *widths]), start=1):
            if number > 1:
                self.image.add_module(f"pool{number - 1}", Halve())
            block = DoubleConv(fan_in, fan_out, activation=activation, batch_norm=batch_norm)
            self.image.add_module(f"block{number}", block)
        self.image.add_module("average", nn.AdaptiveAvgPool2d(1))
        self.image.add_module("flatten", nn.Flatten())
        self.features = nn.Sequential(nn.Linear(features, feature_width), make_activation(activation))
        self.joined = nn.Sequential(
            nn.Linear(widths[-1] + feature_width, hidden),
            make_activation(activation),
            nn.Dropout(dropout),
        )
        self.output = nn.Linear(hidden, outputs)

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        """Logits (N, outputs) of images (N, channels, H, W) and features (N, F)."""
        both = torch.cat([self.image(image), self.features(features)], dim=1)
        logits: Tensor = self.output(self.joined(both))
        return logits
