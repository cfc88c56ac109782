"""Running scores: the same to the last bit, whenever they are read or saved."""

import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import UserError
from runner.training import scores as scores_module
from runner.training.metrics import ClassificationMetrics, RegressionMetrics
from runner.training.scores import Scores, Seen

CPU = torch.device("cpu")


def seen(loss: float, size: int) -> list[Seen]:
    """A batch of a mean loss, whose outputs and targets do not matter."""
    targets = torch.zeros(size, dtype=torch.int64)
    return [Seen(torch.tensor(loss), torch.zeros(size, 2), targets, torch.arange(size), size)]


def batches(seed: int, sizes: list[int]) -> list[Seen]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Seen(
            torch.rand((), generator=generator),
            torch.randn(size, 1, generator=generator),
            torch.randn(size, generator=generator),
            torch.arange(size),
            size,
        )
        for size in sizes
    ]


def test_the_mean_loss_weighs_batches_by_their_size() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(seen(1.0, 3))
    scores.add(seen(5.0, 1))
    assert scores.loss.value() == 2.0


def test_a_batch_of_which_nothing_counts_is_left_out_of_a_mean_and_refused_as_an_update() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(seen(2.0, 3))
    scores.add([seen(math.nan, 4)[0]._replace(weight=0)])
    assert scores.loss.value() == 2.0
    scores.add([seen(math.nan, 4)[0]._replace(weight=0)], step=7)
    with pytest.raises(UserError, match="the loss of step 7 is nan"):
        scores.loss.value()


def test_the_curve_shows_the_mean_since_the_last_point() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(seen(1.0, 1))
    scores.add(seen(3.0, 1))
    assert scores.loss.mark().mean() == 2.0
    scores.add(seen(7.0, 1))
    assert scores.loss.mark().mean() == 7.0
    assert scores.loss.value() == pytest.approx(11 / 3)


def test_a_point_of_the_curve_is_of_what_came_before_it_however_late_it_is_read() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(seen(1.0, 1))
    scores.add(seen(3.0, 3))
    first = scores.loss.mark()
    scores.add(seen(7.0, 1))
    assert scores.loss.value() == pytest.approx(17 / 5)
    second = scores.loss.mark()
    scores.add(seen(9.0, 1))
    assert (first.mean(), second.mean(), scores.loss.mark().mean()) == (2.5, 7.0, 9.0)
    assert math.isnan(scores.loss.mark().mean())


def test_the_results_of_few_steps_are_held_back() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    held: list[weakref.ref[torch.Tensor]] = []
    for number in range(300):
        [batch] = seen(float(number), 2)
        held += [weakref.ref(batch.loss), weakref.ref(batch.outputs), weakref.ref(batch.targets)]
        scores.add([batch])
        del batch
        assert sum(one() is not None for one in held) <= 3 * 64
    assert scores.compute()["loss"] == 149.5


def test_what_batches_count_is_held_back_for_few_steps() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    held: list[weakref.ref[torch.Tensor]] = []
    for number in range(300):
        weight = torch.tensor(1.0 + number % 2)
        held.append(weakref.ref(weight))
        scores.add([seen(float(number % 2), 2)[0]._replace(weight=weight)])
        del weight
        assert sum(one() is not None for one in held) <= 64
    assert scores.compute()["loss"] == pytest.approx(2 / 3)


def test_without_samples_there_is_no_loss() -> None:
    assert math.isnan(Scores(ClassificationMetrics(2, CPU)).loss.value())


def test_a_training_loss_that_is_not_finite_is_told_with_its_step_and_samples() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(seen(1.0, 2), step=4)
    scores.add(seen(math.nan, 3), step=5)
    with pytest.raises(UserError, match=r"the loss of step 5 is nan\n  where:    the batch of 3 samples 0, 1, 2\n"):
        scores.loss.mark().mean()


def test_a_loss_that_is_not_finite_and_not_yet_read_is_refused_by_all_that_ask_for_more() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(seen(math.inf, 3), step=5)
    scores.loss.mark()
    scores.add(seen(1.0, 3), step=6)
    for ask in (scores.state_dict, scores.compute, scores.loss.mark):
        with pytest.raises(UserError, match="the loss of step 5 is inf"):
            ask()


def test_a_validation_loss_that_is_not_finite_is_a_figure() -> None:
    scores = Scores(ClassificationMetrics(2, CPU))
    scores.add(seen(math.inf, 2))
    assert scores.compute()["loss"] == math.inf


def test_skipped_updates_are_counted_where_updates_may_be_skipped() -> None:
    scores = Scores(ClassificationMetrics(2, CPU), counts_skipped=True)
    scores.skip(seen(math.nan, 3))
    assert scores.compute()["skipped"] == 1
    assert "skipped" not in Scores(ClassificationMetrics(2, CPU)).compute()


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
            undisturbed.add([batch], number)
            patch.setattr(scores_module, "_HELD_ELEMENTS", held)
            disturbed.add([batch], number)
            if number in reads:
                disturbed.loss.value()
            if number in saves:
                state, counted = disturbed.state_dict(), disturbed.metric_states()
                disturbed = Scores(RegressionMetrics(CPU))
                disturbed.load_state_dict(state, counted)
    assert disturbed.compute() == undisturbed.compute()
