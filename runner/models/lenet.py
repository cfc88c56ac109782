"""LeNet-5.

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 86 (1998), figure 2.
"""

from collections.abc import Sequence

from torch import nn

from runner.errors import UserError
from runner.models.activation import make_activation
from runner.models.choices import PoolName

SMALLEST = 12  # pixels a side: halved to 6, the second convolution leaves 2, which are pooled to 1


class LeNet(nn.Sequential):
    """Two convolutions with pooling and three linear layers, (N, channels, height, width) to logits (N, outputs).

    Departures from the paper: the first convolution is padded by 2, so that 28 x 28 digits need no border; pooling has
    no trained weights; every map of the second convolution sees all six of the first; the output layer is linear
    instead of Gaussian connections.

    Args:
        channels: Image channels.
        image_size: (height, width), each at least 12 pixels.
        outputs: Number of logits.
        activation: After every layer but the last, a name of ``activation.ACTIVATIONS``; tanh in the paper.
        pool: ``max``, or ``average`` as in the paper.

    Raises:
        UserError: If the data has no images, or smaller ones.
    """

    def __init__(
        self, *, channels: int, image_size: Sequence[int] | None, outputs: int, activation: str, pool: PoolName
    ) -> None:
        super().__init__()
        height, width = _large_enough(image_size)
        pooling = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[pool]
        self.conv1 = nn.Conv2d(channels, 6, kernel_size=5, padding=2)
        self.activation1 = make_activation(activation)
        self.pool1 = pooling(2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.activation2 = make_activation(activation)
        self.pool2 = pooling(2)
        self.flatten = nn.Flatten()
        self.linear1 = nn.Linear(16 * _pixels_left(height) * _pixels_left(width), 120)
        self.activation3 = make_activation(activation)
        self.linear2 = nn.Linear(120, 84)
        self.activation4 = make_activation(activation)
        self.output = nn.Linear(84, outputs)


def _pixels_left(side: int) -> int:
    return (side // 2 - 4) // 2


def _large_enough(image_size: Sequence[int] | None) -> tuple[int, int]:
    if image_size is None:
        raise UserError("model=lenet takes images, and the data has vectors of features", fix="model=mlp")
    height, width = image_size
    if min(height, width) < SMALLEST:
        raise UserError(
            f"model=lenet cannot work with images of {height} x {width} pixels",
            expected=f"at least {SMALLEST} x {SMALLEST} pixels",
            fix="data.image_size=[28,28], or model=convnet",
        )
    return height, width
