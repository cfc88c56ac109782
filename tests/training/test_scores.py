"""Running scores: the same to the last bit, whenever they are read or saved."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.training import scores as scores_module
from runner.training.metrics import ClassificationMetrics, RegressionMetrics
from runner.training.scores import Scores

CPU = torch.device("cpu")


def batches(seed: int, sizes: list[int]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.rand((), generator=generator),
            torch.randn(n, 1, generator=generator),
            torch.randn(n, generator=generator),
        )
        for n in sizes
    ]


def test_the_mean_loss_weighs_batches_by_their_size() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(torch.tensor(1.0), torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
    scores.add(torch.tensor(5.0), torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    assert scores.loss() == 2.0


def test_the_curve_shows_the_mean_since_the_last_point() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    targets = torch.zeros(1, dtype=torch.int64)
    for loss in (1.0, 3.0):
        scores.add(torch.tensor(loss), torch.zeros(1, 2), targets)
    assert scores.loss_since_mark() == 2.0
    scores.add(torch.tensor(7.0), torch.zeros(1, 2), targets)
    assert scores.loss_since_mark() == 7.0
    assert scores.loss() == pytest.approx(11 / 3)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    reads=st.sets(st.integers(0, 11)),
    saves=st.sets(st.integers(0, 11)),
    held=st.integers(1, 20),
)
def test_reading_and_saving_on_the_way_changes_no_bit(
    seed: int, sizes: list[int], reads: set[int], saves: set[int], held: int
) -> None:
    undisturbed = Scores(RegressionMetrics(CPU))
    disturbed = Scores(RegressionMetrics(CPU))
    with pytest.MonkeyPatch.context() as patch:
        for number, batch in enumerate(batches(seed, sizes)):
            patch.setattr(scores_module, "_HELD_ELEMENTS", 1_000_000)
            undisturbed.add(*batch)
            patch.setattr(scores_module, "_HELD_ELEMENTS", held)
            disturbed.add(*batch)
            if number in reads:
                disturbed.loss()
            if number in saves:
                state = disturbed.state_dict()
                disturbed = Scores(RegressionMetrics(CPU))
                disturbed.load_state_dict(state)
    assert disturbed.compute() == undisturbed.compute()
