"""Networks and steps that several comparisons share, in plain PyTorch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Case:
    """A multilayer perceptron and the batches it is trained on."""

    sizes: tuple[int, ...]
    batch_size: int
    lr: float

    def model(self) -> nn.Sequential:
        torch.manual_seed(0)
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise(self.sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    @cached_property
    def network(self) -> nn.Sequential:
        """A model that all share who ask for it in a process."""
        return self.model()

    def batches(self, count: int) -> list[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(1)
        inputs = torch.rand(count, self.batch_size, self.sizes[0], generator=generator)
        targets = torch.randint(self.sizes[-1], (count, self.batch_size), generator=generator)
        return list(zip(inputs, targets, strict=True))


CASES = {
    "course": Case((784, 512, 512, 10), batch_size=64, lr=0.01),
    "tiny": Case((64, 16, 10), batch_size=16, lr=0.01),
}


def hand_step(model: nn.Module, lr: float) -> Callable[[Sequence[Any]], object]:
    """A training step as one writes it by hand: nothing but the arithmetic."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)

    def step(batch: Sequence[Any]) -> object:
        inputs, targets = batch
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss

    return step
