"""Blending the samples of a batch."""

import numpy as np
import pytest
import torch

from runner.data.mixup import Mixup

IMAGES = torch.tensor([[0.0], [1.0], [10.0]])
CLASSES = torch.tensor([0, 1, 2])
FIRST = 7


def blended(epoch: int = 0, seed: int = 0, alpha: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    return Mixup(alpha, 3, seed)(IMAGES, CLASSES, FIRST, epoch)


def test_an_image_is_blended_with_the_one_before_it_and_its_class_in_the_same_share() -> None:
    images, shares = blended()
    share = 1 - shares[0, 0].item()
    assert 0 < share < 1
    # image 0 meets image 2, image 1 meets image 0, image 2 meets image 1
    assert images.flatten().tolist() == pytest.approx([10 * share, 1 - share, 10 - 9 * share])
    expected = [[1 - share, 0, share], [share, 1 - share, 0], [0, share, 1 - share]]
    assert shares.tolist() == [pytest.approx(row) for row in expected]


def test_the_share_depends_on_seed_and_epoch_alone() -> None:
    assert torch.equal(blended()[0], blended()[0])
    assert not torch.equal(blended()[0], blended(epoch=1)[0])
    assert not torch.equal(blended()[0], blended(seed=1)[0])


def test_the_global_generators_are_left_alone() -> None:
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())
    blended()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_shares_follow_the_beta_distribution() -> None:
    shares = np.array([blended(epoch, alpha=0.2)[1][0, 0].item() for epoch in range(2000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1))
    assert shares.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / (4 * 1.4) / 2000))
    assert shares.var() == pytest.approx(1 / (4 * 1.4), rel=0.1)


def test_the_stored_batch_is_not_changed() -> None:
    blended()
    assert IMAGES.tolist() == [[0.0], [1.0], [10.0]]
