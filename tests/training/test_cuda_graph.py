"""A captured pass: what it computes, and that capturing leaves no trace. Without a GPU, a call plays the graph."""

import math
from collections.abc import Callable, Collection, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from runner.errors import UserError
from runner.training import scores as scores_module
from runner.training.buffers import copied_buffers, restore_buffers
from runner.training.cuda_graph import Capture, Computation, GraphedUpdate
from runner.training.descent import Descent
from runner.training.gradient import EagerGradient, Micro, of_window
from runner.training.metrics import ClassificationMetrics
from runner.training.optimizers import make_optimizer
from runner.training.penalties import Penalties
from runner.training.scores import Scores, Seen

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]),
]


class Recorded:
    """Like a capture on CUDA: computations beforehand, then one on the memory that was seen then."""

    captures = 0
    replays = 0
    weights: Sequence[nn.Parameter] = ()

    def __call__(self, run: Computation) -> tuple[Callable[[], None], Sequence[Tensor]]:
        self.captures += 1
        run()
        left = run()
        gradients = [weight.grad for weight in self.weights]

        def replay() -> None:
            self.replays += 1
            before = [weight.grad for weight in self.weights]
            for kept, new in zip(left, run(), strict=True):
                kept.copy_(new)
            for weight, gradient, was in zip(self.weights, gradients, before, strict=True):
                if gradient is not None and weight.grad is not None:
                    gradient.copy_(weight.grad)
                weight.grad = was  # a replay runs no Python

        return replay, left


def network(device: str, is_plain: bool = False) -> nn.Sequential:
    """With buffers, random numbers, and a weight that never gets a gradient.

    A plain one has none of them: the bias before a normalisation has a gradient that is nothing but rounding, of which
    optimizers such as Adam make steps of full length.
    """
    torch.manual_seed(0)
    if is_plain:
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(device)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return model.to(device)


def batches(device: str, sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 4, generator=generator).to(device), torch.randint(0, 3, (n,), generator=generator).to(device))
        for n in sizes
    ]


FULL = 6


def trained(
    device: str,
    graphed: bool,
    updates: list[list[int]],
    capture: Capture | None = None,
    optimizer: str = "torch.optim.SGD",
    moves: bool = True,
    clip_norm: float | None = None,
    restart_after: int | None = None,
    reads: bool = True,
    skipped: Collection[int] = (),
    l2: float | None = None,
) -> tuple[nn.Module, list[float], dict[str, float]]:
    """The model after updates from micro-batches of these sizes, the loss and norm of each update, and the scores.

    Args:
        device: Where.
        graphed: Whether in a graph.
        updates: The sizes.
        capture: What captures.
        optimizer: Of torch, with a learning rate that halves with every update and what else it has by default.
        moves: Whether the graph moves the weights.
        clip_norm: Of the gradient.
        restart_after: Updates after which everything is made anew, from the states.
        reads: Whether the loss is read after each update, rather than at the end.
        skipped: Updates, from 0, whose inputs are no numbers, so that they are left out.
        l2: A penalty on all weights.
    """
    parts = made(device, updates[1], capture, optimizer, moves, clip_norm, l2)
    scores = Scores(ClassificationMetrics(3, torch.device(device)), counts_skipped=bool(skipped))
    torch.manual_seed(2)
    told: list[float] = []
    for number, sizes in enumerate(updates):
        if number == restart_after:
            before = parts
            with torch.random.fork_rng():
                parts = made(device, updates[1], capture, optimizer, moves, clip_norm, l2)
            parts[0].load_state_dict(before[0].state_dict())
            parts[1].load_state_dict(before[1].state_dict())
        model, optimizing, eager, descend, graph = parts
        for group in optimizing.param_groups:
            group["lr"] = 0.1 / 2**number
        factor = math.nan if number in skipped else 1
        window = [
            Micro((factor * inputs,), targets, len(targets) / sum(sizes), position == len(sizes) - 1)
            for position, (inputs, targets) in enumerate(batches(device, sizes))
        ]
        buffers = copied_buffers(model)
        if graphed and number > 0 and graph.takes(window):
            results, has_moved, norm = graph(window)
        else:
            results, has_moved, norm = of_window(eager, window), False, None
        seen = [
            Seen(*result, torch.arange(len(m.targets)), len(m.targets))
            for result, m in zip(results, window, strict=True)
        ]
        if number in skipped:
            restore_buffers(model, buffers)
            scores.skip(seen)
            continue
        scores.add(seen, number + 1)
        norm = norm if has_moved else descend()
        told += [scores.loss.mark().mean() if reads else 0.0, 0.0 if norm is None else norm.item()]
    return model, told, scores.compute()


def made(
    device: str,
    sizes: list[int],
    capture: Capture | None,
    optimizer: str,
    moves: bool,
    clip_norm: float | None,
    l2: float | None,
) -> tuple[nn.Module, torch.optim.Optimizer, EagerGradient, Descent, GraphedUpdate]:
    """All that an update takes."""
    model = network(device, is_plain=optimizer != "torch.optim.SGD")
    more = {"momentum": 0.9, "weight_decay": 0.1} if optimizer == "torch.optim.SGD" else {}
    node = {"_target_": optimizer, "lr": 0.1, **more}
    optimizing = make_optimizer(node, model, torch.device(device), for_graph=device == "cuda")
    weights = [weight for group in optimizing.param_groups for weight in group["params"]]
    if isinstance(capture, Recorded):
        capture.weights = weights
    eager = EagerGradient(weights, model, nn.CrossEntropyLoss(), lambda: torch.autocast(device, enabled=False), None)
    descend = Descent(model, optimizing, None, None if l2 is None else Penalties(weights, 0.0, l2), clip_norm)
    graph = GraphedUpdate(eager, model, optimizing, descend if moves else None, len(sizes), FULL, capture)
    return model, optimizing, eager, descend, graph


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("moves", [True, False], ids=["with the descent", "without"])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize(
    "updates",
    [
        [[6], [6], [6], [6]],
        [[6], [6], [6], [2], [6]],
        [[6], [6], [2], [6], [6]],
        [[6, 6], [6, 6], [6, 6], [6, 2], [6, 6]],
        [[6, 6], [6, 6], [6], [6, 6]],
    ],
    ids=["full", "a smaller one", "a smaller one first", "accumulated", "a window that is shorter"],
)
def test_a_graph_computes_what_python_computes(
    device: str, updates: list[list[int]], moves: bool, clip_norm: float | None
) -> None:
    capture = None if device == "cuda" else Recorded()
    settings = {"moves": moves, "clip_norm": clip_norm}
    model, told, scores = trained(device, True, updates, capture, **settings)
    expected, expected_told, expected_scores = trained(device, False, updates, capture, **settings)
    same = {"rtol": 0, "atol": 0} if device == "cpu" and not moves else {}  # rates in a tensor have 24 bits
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), **same)
    assert told == pytest.approx(expected_told, rel=1e-5)
    assert scores == pytest.approx(expected_scores, rel=1e-5)


CAPTURABLE = ["Adadelta", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("optimizer", CAPTURABLE)
def test_every_optimizer_that_can_be_captured_computes_in_a_graph_what_it_does_without(optimizer: str) -> None:
    model, told, _ = trained("cuda", True, [[6]] * 6 + [[2], [6]], optimizer=f"torch.optim.{optimizer}")
    expected, expected_told, _ = trained("cuda", False, [[6]] * 6 + [[2], [6]], optimizer=f"torch.optim.{optimizer}")
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), rtol=1e-4, atol=1e-6)
    assert told == pytest.approx(expected_told, rel=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("restart_after", [1, 3, 5])
def test_capturing_anew_changes_no_bit(device: str, restart_after: int) -> None:
    capture = None if device == "cuda" else Recorded()
    updates = [[6], [6], [6], [2], [6], [6], [6]]
    model, told, scores = trained(device, True, updates, capture)
    resumed, resumed_told, resumed_scores = trained(device, True, updates, capture, restart_after=restart_after)
    torch.testing.assert_close(resumed.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert (resumed_told, resumed_scores) == (told, scores)


def test_it_is_captured_once_and_repeated_for_full_windows_alone() -> None:
    capture = Recorded()
    trained("cpu", True, [[6, 6], [6, 6], [6], [6, 2], [6, 6]], capture)
    assert (capture.captures, capture.replays) == (1, 2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("num_batches", [1, 2, 5, 6])
def test_more_updates_than_a_ring_has_rows_are_all_counted(device: str, num_batches: int) -> None:
    updates = [[6] * num_batches] * 150
    capture = None if device == "cuda" else Recorded()
    _, _, scores = trained(device, True, updates, capture, moves=False, reads=False)
    _, _, expected = trained(device, False, updates, moves=False, reads=False)
    assert scores == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(
    num_batches=st.integers(1, 6),
    held=st.integers(1, 9),
    skipped=st.sets(st.integers(1, 15), max_size=4),
    num_held=st.integers(1, 12),
)
def test_figures_do_not_depend_on_how_many_results_are_held_or_which_updates_are_skipped(
    num_batches: int, held: int, skipped: set[int], num_held: int
) -> None:
    updates = [[6] * num_batches] * 16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores_module, "_HELD", num_held)
        patch.setattr(scores_module, "_HELD_ELEMENTS", held * FULL * 3)
        _, _, scores = trained("cpu", True, updates, Recorded(), moves=False, reads=False, skipped=skipped)
    _, _, expected = trained("cpu", False, updates, moves=False, reads=False, skipped=skipped)
    assert scores == expected


def test_a_weight_without_gradient_keeps_none_so_that_decay_leaves_it_alone() -> None:
    model, _, _ = trained("cpu", True, [[6], [6], [6]], Recorded())
    assert model.get_parameter("unused").tolist() == [1, 1]


def test_a_penalty_on_a_weight_without_gradient_is_that_of_each_update_alone() -> None:
    updates = [[6]] * 4
    model, _, _ = trained("cpu", True, updates, Recorded(), moves=False, l2=0.1)
    expected, _, _ = trained("cpu", False, updates, l2=0.1)
    assert model.get_parameter("unused").tolist() == expected.get_parameter("unused").tolist() != [1, 1]


def test_what_cannot_be_captured_is_told_with_the_reason() -> None:
    def refuse(run: Computation) -> tuple[Callable[[], None], Sequence[Tensor]]:
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.raises(UserError, match=r"cuda_graph=true.*\n  where:    operation not permitted when stream is cap"):
        trained("cpu", True, [[6], [6]], refuse)


def test_too_little_memory_for_a_capture_is_told_as_what_it_is() -> None:
    def overflow(run: Computation) -> tuple[Callable[[], None], Sequence[Tensor]]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        trained("cpu", True, [[6], [6]], overflow)
