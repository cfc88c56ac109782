"""The running average of a model's weights."""

from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from runner.parallel.pieces import local


class MovingAverage(AveragedModel):
    """The exponential moving average of weights and buffers, which starts with what they are after the first update.

    It is torch's, but that the number of updates stays on the CPU: torch looks at it in each, for which a GPU would
    have to be waited for.

    Args:
        model: Averaged; what is made of it is a copy.
        decay: How much of an average stays in an update: 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self._average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take in what the model is after an update; of weights that are divided, the piece that is here."""
        self.n_averaged = self.n_averaged.cpu()
        pairs = [
            (local(average), local(value)) for average, value in zip(_values(self.module), _values(model), strict=True)
        ]
        for is_floating in (True, False):  # whole numbers, such as counters, are averaged in another way
            some = [pair for pair in pairs if pair[0].is_floating_point() is is_floating]
            if not some:
                continue
            averages, values = map(list, zip(*some, strict=True))
            if self.n_averaged == 0:
                torch._foreach_copy_(averages, values)
            else:
                self._average(averages, values, self.n_averaged)
        self.n_averaged += 1


def _values(model: nn.Module) -> chain[torch.Tensor]:
    return chain(model.parameters(), model.buffers())
