"""Forward and backward pass as one CUDA graph, which starts in microseconds whatever the number of its kernels.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs", partial-network and whole-network capture.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.training.buffers import copied_buffers, restore_buffers
from runner.training.gradient import EagerGradient

_WARM_UPS = 3
"""Passes before a capture, as the notes ask for: libraries choose their algorithms and workspaces in them."""

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Makes of a computation on fixed memory what repeats it; it may run it beforehand, several times."""


class GraphedGradient:
    """Captures the pass over a full batch at the first one, and repeats it for every other.

    A smaller batch is computed as without a graph. Either way gradients are added to the same memory.

    Args:
        eager: What is captured.
        model: Its buffers are as before after the warm-up.
        batch_size: Samples in a full batch.
        capture: For a test that has no GPU.
    """

    def __init__(self, eager: EagerGradient, model: nn.Module, batch_size: int, capture: Capture | None = None) -> None:
        self._eager = eager
        self._model = model
        self._batch_size = batch_size
        self._capture = capture or capture_cuda
        self._replay: Callable[[], None] | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._targets: Tensor
        self._share: Tensor
        self._results: tuple[Tensor, Tensor]

    def clear(self) -> None:
        """Set the gradients to 0, where they lie: the graph knows their addresses."""
        if self._replay is None:
            self._eager.clear()
        else:
            torch._foreach_zero_([weight.grad for weight in self._eager.parameters if weight.grad is not None])

    def add(
        self, inputs: Sequence[Tensor], targets: Tensor, share: float | Tensor, is_last: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Add the gradient of a batch."""
        if len(targets) != self._batch_size:
            return self._eager.add(inputs, targets, share)
        if self._replay is None:
            self._replay = self._captured(inputs, targets)
        for kept, new in zip(self._inputs, inputs, strict=True):
            kept.copy_(new)
        self._targets.copy_(targets)
        self._share.fill_(share)
        self._replay()
        loss, outputs = self._results
        return loss.clone(), outputs.clone()  # the next replay overwrites them

    def _captured(self, inputs: Sequence[Tensor], targets: Tensor) -> Callable[[], None]:
        self._inputs = tuple(values.clone() for values in inputs)
        self._targets = targets.clone()
        self._share = torch.ones((), device=targets.device)
        buffers = copied_buffers(self._model)
        weights = self._eager.parameters
        before = [None if weight.grad is None else weight.grad.clone() for weight in weights]
        generator = torch.cuda.get_rng_state() if targets.is_cuda else torch.get_rng_state()

        def run() -> None:
            self._results = self._eager.add(self._inputs, self._targets, self._share)

        run()  # so that each weight that gets a gradient has the memory for it, and no other one has
        try:
            replay = self._capture(run)
        except RuntimeError as error:
            raise UserError(
                "device.cuda_graph=true: the model or the loss cannot be captured",
                where=str(error).partition("\n")[0],
                expected="computations on the device alone: no .item(), no shapes that depend on values",
                fix="device.cuda_graph=false, or device.compile=true",
            ) from error
        restore_buffers(self._model, buffers)
        for weight, gradient in zip(weights, before, strict=True):
            if weight.grad is not None:
                weight.grad.zero_() if gradient is None else weight.grad.copy_(gradient)
        if targets.is_cuda:
            torch.cuda.set_rng_state(generator)
        else:
            torch.set_rng_state(generator)
        return replay


def capture_cuda(run: Callable[[], None]) -> Callable[[], None]:
    """Capture what ``run`` launches on the current CUDA device."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay
