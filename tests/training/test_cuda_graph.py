"""A captured pass: what it computes, and that capturing leaves no trace. Without a GPU, a call plays the graph."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.training.cuda_graph import GraphedGradient
from runner.training.gradient import EagerGradient

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]),
]


class Recorded:
    """Like a capture on CUDA: passes beforehand, then a computation on the memory that was seen then."""

    replays = 0

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        run()

        def replay() -> None:
            self.replays += 1
            run()

        return replay


def network(device: str) -> nn.Sequential:
    """With buffers, random numbers, and a weight that never gets a gradient."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return model.to(device)


def batches(device: str, sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 4, generator=generator).to(device), torch.randint(0, 3, (n,), generator=generator).to(device))
        for n in sizes
    ]


def trained(
    device: str, graphed: bool, updates: list[list[int]], capture: Callable[..., Callable[[], None]] | None = None
) -> tuple[nn.Module, list[Tensor]]:
    """The model after updates from micro-batches of these sizes, and what each returned."""
    model = network(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    eager = EagerGradient(
        list(model.parameters()), model, nn.CrossEntropyLoss(), lambda: torch.autocast(device, enabled=False), None
    )
    gradient = GraphedGradient(eager, model, 6, capture) if graphed else eager
    torch.manual_seed(2)
    returned: list[Tensor] = []
    for sizes in updates:
        gradient.clear()
        for inputs, targets in batches(device, sizes):
            returned += gradient.add([inputs], targets, len(targets) / sum(sizes))
        optimizer.step()
    return model, returned


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "updates",
    [[[6], [6], [6]], [[6], [2], [6]], [[2], [6], [6]], [[6, 6], [6, 6], [6, 2]], [[2, 6], [6]]],
    ids=["full", "a smaller one", "a smaller one first", "accumulated", "captured within an update"],
)
def test_a_graph_computes_what_python_computes(device: str, updates: list[list[int]]) -> None:
    capture = None if device == "cuda" else Recorded()
    model, returned = trained(device, True, updates, capture)
    expected, expected_returned = trained(device, False, updates)
    same = {"rtol": 0, "atol": 0} if device == "cpu" else {}
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), **same)
    torch.testing.assert_close(returned, expected_returned, **same)


def test_it_is_captured_once_and_repeated_for_full_batches_alone() -> None:
    capture = Recorded()
    trained("cpu", True, [[6], [6, 2], [2], [6]], capture)
    assert capture.replays == 3


def test_a_weight_without_gradient_keeps_none_so_that_decay_leaves_it_alone() -> None:
    model, _ = trained("cpu", True, [[6], [6]], Recorded())
    assert model.get_parameter("unused").tolist() == [1, 1]


def test_what_cannot_be_captured_is_told_with_the_reason() -> None:
    def refuse(run: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.raises(UserError, match=r"cuda_graph=true.*\n  where:    operation not permitted when stream is cap"):
        trained("cpu", True, [[6]], refuse)
