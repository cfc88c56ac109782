"""What a model keeps besides weights, such as the running means of batch normalisation."""

from torch import Tensor, nn


def copied_buffers(model: nn.Module) -> list[Tensor]:
    """The buffers as they are now."""
    return [buffer.clone() for buffer in model.buffers()]


def restore_buffers(model: nn.Module, copies: list[Tensor]) -> None:
    """Go back to what ``copied_buffers`` gave."""
    for buffer, copy in zip(model.buffers(), copies, strict=True):
        buffer.copy_(copy)
