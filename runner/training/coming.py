"""Numbers that a device is asked for without waiting for them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from runner.training.ring import Lent, stacked

Number = float | Tensor | Lent
"""A number that is known, or a scalar that a device may be computing yet."""

_ON_DEVICE = (Tensor, Lent)


def known(number: Number) -> Number:
    """The number itself, where nothing has to be waited for."""
    return number.item() if isinstance(number, Tensor) and number.is_cpu else number


class Coming:
    """Numbers on their way from a device, as they are by the time that it has done what it was told so far.

    Args:
        numbers: Those that are scalars have the same dtype and lie on one device.
    """

    def __init__(self, numbers: Sequence[Number]) -> None:
        self._numbers = [known(one) for one in numbers]
        self._copies: Tensor | None = None
        self._event: torch.cuda.Event | None = None
        scalars = [one for one in self._numbers if isinstance(one, _ON_DEVICE)]
        if not scalars:
            return
        self._copies = copies = stacked(scalars)
        if copies.is_cuda:
            here = torch.empty_like(copies, device="cpu", pin_memory=True)  # into other memory, a copy would wait
            self._copies = here.copy_(copies, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def are_here(self) -> bool:
        """Whether ``read`` waits for nothing."""
        return self._event is None or self._event.query()  # type: ignore[no-untyped-call]

    def read(self) -> list[float]:
        """The numbers. Waits for the device."""
        if self._event is not None:
            self._event.synchronize()
        if self._copies is None:
            return list(self._numbers)  # type: ignore[arg-type]
        read = iter(self._copies.tolist())
        return [next(read) if isinstance(one, _ON_DEVICE) else one for one in self._numbers]
