"""A network that is a list of layers."""

from collections.abc import Sequence

from torch import nn


class Sequential(nn.Sequential):
    """Layers one behind the other, called 0, 1, ... as ``torch.nn.Sequential`` calls them.

    Args:
        layers: At least one. Lazy layers, such as ``torch.nn.LazyLinear``, take the size of what reaches them.
    """

    def __init__(self, *, layers: Sequence[nn.Module]) -> None:
        super().__init__(*layers)
