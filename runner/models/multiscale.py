"""A network that looks at an image at several scales: an example of all that a module can own.

It has parameters and buffers of its own beside layers, in each of the containers that torch knows. What is registered,
by assigning it to an attribute or with ``register_buffer``, is trained, moved with ``to()``, and saved in checkpoints.

Shapes: N samples, C image channels, M maps, H height, W width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runner.models.blocks import DoubleConv

_MOMENTUM = 0.1  # of the running mean of the images, as batch normalisation has it


class Largest(nn.Module):
    """The largest value of each map.

    ``nn.AdaptiveMaxPool2d(1)`` gives the same; its gradient on CUDA differs in the last bits from run to run.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(N, M, 1, 1) of maps (N, M, h, w)."""
        return maps.amax((2, 3), keepdim=True)


class MultiScaleNet(nn.Module):
    """Images (N, C, H, W) of any size to logits (N, outputs).

    A block of convolutions looks at the image, another one at the image blurred and halved, and so on. What each block
    finds, the average and the largest value of its maps, is weighed map by map with learnt weights and added up.

    Args:
        channels: Image channels.
        outputs: Number of logits.
        width: Maps of each block.
        scales: How often the image is looked at, each time at half the size of the time before.
        activation: After every convolution, a name of ``activation.ACTIVATIONS``.
        batch_norm: Normalise between convolution and activation.
    """

    image_mean: Tensor
    blur: Tensor

    def __init__(
        self, *, channels: int, outputs: int, width: int, scales: int, activation: str, batch_norm: bool
    ) -> None:
        super().__init__()
        # A ModuleList, not a list: layers in a plain list are neither trained nor saved.
        self.blocks = nn.ModuleList(
            DoubleConv(channels, width, activation=activation, batch_norm=batch_norm) for _ in range(scales)
        )
        self.poolings = nn.ModuleDict({"average": nn.AdaptiveAvgPool2d(1), "largest": Largest()})
        # Likewise a ParameterList: how much each map of each scale counts, in logarithms, so that it stays above 0.
        self.log_weights = nn.ParameterList(torch.zeros(len(self.poolings) * width) for _ in range(scales))
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.output = nn.Linear(len(self.poolings) * width, outputs)
        # A buffer is not trained, but belongs to what the model has learnt: it is saved.
        self.register_buffer("image_mean", torch.zeros(channels))
        # This one follows from the code: it is moved with the model, but not saved.
        binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = binomial[:, None] * binomial
        self.register_buffer("blur", kernel.expand(channels, 1, 3, 3).clone(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, outputs) of images (N, C, H, W)."""
        if self.training:
            with torch.no_grad():
                self.image_mean.lerp_(images.mean((0, 2, 3)).to(self.image_mean.dtype), _MOMENTUM)
        view = images - self.image_mean[:, None, None]
        found = []
        for number, (block, log_weights) in enumerate(zip(self.blocks, self.log_weights, strict=True)):
            if number > 0:
                view = F.conv2d(view, self.blur, stride=2, padding=1, groups=view.shape[1])
            maps = block(view)  # (N, M, h, w)
            pooled = torch.cat([pooling(maps) for pooling in self.poolings.values()], dim=1).flatten(1)  # (N, 2 M)
            found.append(pooled * log_weights.exp())
        logits: Tensor = self.output(torch.stack(found).sum(0)) / self.log_temperature.exp()
        return logits
