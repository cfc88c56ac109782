"""Drawing samples by weight."""

import numpy as np
import pytest
import torch

from runner.data.sampler import EpochSampler, Weighted, class_weighted
from runner.errors import UserError

RARE = np.array([0] * 950 + [1] * 50)
"""Classes of 95:5."""


def drawn(order: Weighted, seed: int = 0) -> torch.Tensor:
    return order(torch.Generator().manual_seed(seed))


def test_balanced_batches_of_rare_classes_are_balanced_within_sampling_error() -> None:
    sampler = EpochSampler(np.arange(1000), 100, seed=1, order=class_weighted(RARE, None))
    shares = [RARE[batch].mean() for batch in sampler]
    assert len(shares) == 10
    # 100 draws of probability 1/2 have a standard deviation of 0.05; all 1,000 one of 0.0158
    assert all(abs(share - 0.5) < 0.2 for share in shares)
    assert abs(np.mean(shares) - 0.5) < 4 * 0.0158


def test_class_weights_are_how_often_a_class_comes_whatever_its_size() -> None:
    classes = RARE[drawn(class_weighted(RARE, [3.0, 1.0], num_samples=20_000)).numpy()]
    assert classes.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 20_000))


def test_a_class_of_weight_zero_never_comes() -> None:
    assert RARE[drawn(class_weighted(RARE, [0.0, 1.0])).numpy()].min() == 1


def test_samples_without_a_class_are_never_drawn() -> None:
    classes = np.where(np.arange(len(RARE)) % 2, RARE, -100)
    taken = classes[drawn(class_weighted(classes, None, num_samples=20_000)).numpy()]
    assert taken.min() == 0
    assert np.bincount(taken)[0] == pytest.approx(10_000, rel=0.05), "the classes come equally often"


def test_without_replacement_no_sample_comes_twice() -> None:
    positions = drawn(class_weighted(RARE, None, num_samples=100, replacement=False))
    assert len(set(positions.tolist())) == 100


def test_what_is_drawn_is_what_torchs_sampler_draws() -> None:
    weights = torch.rand(50, generator=torch.Generator().manual_seed(3))
    theirs = torch.utils.data.WeightedRandomSampler(weights.tolist(), 200, generator=torch.Generator().manual_seed(0))
    assert drawn(Weighted(weights.double(), 200)).tolist() == list(theirs)


def test_more_samples_than_there_are_cannot_be_drawn_without_replacement() -> None:
    with pytest.raises(UserError, match=r"data\.num_samples=60, but only 50 samples"):
        class_weighted(RARE, [0.0, 1.0], num_samples=60, replacement=False)


@pytest.mark.parametrize("count", [1, 4])
def test_every_class_needs_a_weight_and_nothing_else_has_one(count: int) -> None:
    with pytest.raises(UserError, match=rf"data\.class_weights has {count} numbers, and the data 2 classes"):
        class_weighted(RARE, [1.0] * count)


def test_a_class_that_the_training_lacks_has_a_weight_too() -> None:
    order = class_weighted(RARE, [1.0, 1.0, 5.0], num_classes=3)
    assert drawn(order).tolist() == drawn(class_weighted(RARE, [1.0, 1.0])).tolist()
    with pytest.raises(UserError, match="has 2 numbers, and the data 3 classes"):
        class_weighted(RARE, [1.0, 1.0], num_classes=3)
