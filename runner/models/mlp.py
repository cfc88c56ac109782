"""The multilayer perceptron."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from runner.models.activation import make_activation


class MLP(nn.Sequential):
    """Fully connected layers, (N, channels, height, width) or (N, channels) to logits (N, outputs).

    Layers are made in the order in which they run, so that from one seed the weights are those of the same layers
    written by hand into an ``nn.Sequential``.

    Args:
        channels: Image channels, or the number of features.
        image_size: (height, width); None when a sample is a vector of features.
        outputs: Number of logits.
        hidden: Width of each hidden layer; none at all makes a linear model.
        activation: After each hidden layer, a name of ``activation.ACTIVATIONS``.
        output_activation: After the last layer, likewise.
        dropout: Probability in [0, 1] that a hidden unit is dropped in training.
    """

    def __init__(
        self,
        *,
        channels: int,
        image_size: Sequence[int] | None,
        outputs: int,
        hidden: Sequence[int],
        activation: str,
        output_activation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        widths = [channels * math.prod(image_size or ()), *hidden]
        self.flatten = nn.Flatten()
        for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            self.add_module(f"linear{number}", nn.Linear(fan_in, fan_out))
            self.add_module(f"activation{number}", make_activation(activation))
            if dropout:  # what does nothing costs a small network a tenth of its step
                self.add_module(f"dropout{number}", nn.Dropout(dropout))
        self.output = nn.Linear(widths[-1], outputs)
        if output_activation != "identity":
            self.output_activation = make_activation(output_activation)
