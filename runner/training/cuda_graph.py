"""An update as one CUDA graph, which starts in microseconds whatever the number of its kernels.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs", whole-network capture.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from runner.errors import UserError
from runner.training.copies import Copy, copy_all
from runner.training.gradient import EagerGradient, Micro, Result, detached
from runner.training.ring import Ring
from runner.training.scores import most_held

_WARM_UPS = 3
"""Computations before a capture, as the notes ask for: libraries choose their algorithms and workspaces in them."""

Computation = Callable[[], Sequence[Tensor]]
Capture = Callable[[Computation], tuple[Callable[[], None], Sequence[Tensor]]]
"""Makes of a computation on fixed memory what repeats it, and the memory where the tensors that it gives are then; it
runs it beforehand, at least once."""


class Computed(NamedTuple):
    """What came of the micro-batches of an update."""

    results: Sequence[Result]
    has_moved: bool = False
    """Whether the weights were moved, too; else there is the gradient alone."""
    grad_norm: Tensor | None = None
    """If they were: the norm of the gradient before it was cut, if it is."""


class GraphedUpdate:
    """Captures the update from a full window at the first one, and repeats it for every other.

    A smaller window is computed as without a graph. Whether one is captured or repeated makes no difference to what it
    computes, so that a run that is resumed, and captures anew, goes on to the same bits.

    Args:
        eager: Computes the gradient.
        model: Its buffers, like all else that an update changes, are as before after a capture.
        optimizer: Of its weights; it has made an update before this is called.
        move: Lets the optimizer move the weights, and gives the norm of the gradient; None: that stays outside.
        num_batches: Micro-batches in a full window.
        batch_size: Samples in each of them.
        capture: For a test that has no GPU.
    """

    def __init__(
        self,
        eager: EagerGradient,
        model: nn.Module,
        optimizer: Optimizer,
        move: Callable[[], Tensor | None] | None,
        num_batches: int,
        batch_size: int,
        capture: Capture | None = None,
    ) -> None:
        self._eager = eager
        self._model = model
        self._optimizer = optimizer
        self._rates = Rates(optimizer)
        self._move = move
        self._full = [batch_size] * num_batches
        self._capture = capture or capture_cuda
        self._replay: Callable[[], None] | None = None
        self._window: list[Micro] = []
        self._rings: list[Ring] = []  # for each micro-batch
        self._gradients: list[tuple[nn.Parameter, Tensor]] = []
        self._without_gradient: list[nn.Parameter] = []
        self._norm: Tensor | None = None

    def takes(self, window: Sequence[Micro]) -> bool:
        """Whether this is a full one."""
        return [micro.targets.shape[0] for micro in window] == self._full

    def __call__(self, window: Sequence[Micro]) -> Computed:
        """Compute a full one."""
        if self._replay is None:
            self._replay = self._captured(window)
        copies = [one for ring in self._rings for one in ring.leaving()]
        for kept, new in zip(self._window, window, strict=True):
            copies += map(Copy, (*kept.inputs, kept.targets), (*new.inputs, new.targets))
            if isinstance(kept.share, Tensor):
                kept.share.fill_(new.share)
        copy_all(copies)
        self._rates.follow()
        self._replay()
        if any(weight.grad is not gradient for weight, gradient in self._gradients[:1]):
            for weight, gradient in self._gradients:
                weight.grad = gradient  # a window without the graph has left others
        for weight in self._without_gradient:
            weight.grad = None  # a penalty outside the graph has added one
        newest = [ring.newest() for ring in self._rings]
        results = [Result(loss, outputs, new.targets) for (loss, outputs), new in zip(newest, window, strict=True)]
        return Computed(results, self._move is not None, self._norm)

    def _captured(self, window: Sequence[Micro]) -> Callable[[], None]:
        self._window = [
            Micro(
                tuple(values.clone() for values in micro.inputs),
                micro.targets.clone(),
                micro.share.clone() if isinstance(micro.share, Tensor) else micro.share,
                micro.is_last,
            )
            for micro in window
        ]
        device = window[0].targets.device
        generator = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
        changed = self._changed()
        before = [values.clone() for values in changed]
        try:
            with nullcontext() if self._move is None else self._rates.in_tensors():
                replay, left = self._capture(self._run)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise UserError(
                "device.cuda_graph=true: the model, the loss or the optimizer cannot be captured",
                where=str(error).partition("\n")[0],
                expected="computations on the device alone: no .item(), no shapes that depend on values",
                fix="device.cuda_graph=false, or device.compile=true",
            ) from error
        weights = self._eager.parameters
        self._gradients = [(weight, weight.grad) for weight in weights if weight.grad is not None]
        self._without_gradient = [weight for weight in weights if weight.grad is None]
        num_results = 2 * len(window)
        rows = -(-most_held(left[1].numel()) // len(window))
        self._rings = [Ring(rows, left[first : first + 2]) for first in range(0, num_results, 2)]
        self._norm = left[num_results] if len(left) > num_results else None
        with torch.no_grad():
            for values, others in zip(changed, before, strict=True):
                values.copy_(others)
        if device.type == "cuda":
            torch.cuda.set_rng_state(generator, device)
        else:
            torch.set_rng_state(generator)
        return replay

    def _run(self) -> list[Tensor]:
        """What is captured; gives loss and outputs of each micro-batch, and last the norm of the gradient, if any."""
        self._eager.clear()
        left: list[Tensor] = []
        for micro in self._window:
            loss, outputs = self._eager.forwards(micro)
            left += detached(loss, outputs)
            self._eager.backwards(micro, loss)
        norm = None if self._move is None else self._move()
        return left if norm is None else [*left, norm]

    def _changed(self) -> list[Tensor]:
        """All that an update changes."""
        states = [values for state in self._optimizer.state.values() for values in state.values()]
        tensors = [*self._model.parameters(), *self._model.buffers(), *states]
        # Detached: a graph of operations on a weight would bind its gradient to the stream of now.
        return [values.detach() for values in tensors if isinstance(values, Tensor)]


class Rates:
    """The learning rates of an optimizer in tensors, which a graph reads at each replay.

    Outside a capture the optimizer itself has numbers, as always.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._values: list[float] = []
        self._tensors: list[Tensor] = []

    @contextmanager
    def in_tensors(self) -> Iterator[None]:
        """While it lasts, the optimizer has the tensors."""
        groups = self._optimizer.param_groups
        self._values = [group["lr"] for group in groups]
        self._tensors = [torch.full((), group["lr"], device=group["params"][0].device) for group in groups]
        for group, rate in zip(groups, self._tensors, strict=True):
            group["lr"] = rate
        try:
            yield
        finally:
            for group, value in zip(groups, self._values, strict=True):
                group["lr"] = value

    def follow(self) -> None:
        """Let the tensors have the numbers that the optimizer has now."""
        for number, rate in enumerate(self._tensors):
            value = self._optimizer.param_groups[number]["lr"]
            if value != self._values[number]:
                self._values[number] = value
                rate.fill_(value)


def capture_cuda(run: Computation) -> tuple[Callable[[], None], Sequence[Tensor]]:
    """Capture what ``run`` launches on the current CUDA device."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Other threads, which read data or write checkpoints, may go on using the device meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        left = run()
    return graph.replay, left
