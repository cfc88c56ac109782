"""Pasting parts of the samples of a batch into each other."""

import numpy as np
import pytest
import torch

from runner.data.cutmix import Cutmix, blending
from runner.data.mixup import Mixup

IMAGES = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, 10, 20)
"""Each of its own colour: 0, 1, 2."""
CLASSES = torch.tensor([0, 1, 2])
FIRST = 7


def pasted(epoch: int = 0, seed: int = 0, alpha: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    return Cutmix(alpha, 3, seed)(IMAGES, CLASSES, FIRST, epoch)


@pytest.mark.parametrize("epoch", range(12))
def test_each_image_has_one_box_of_the_one_before_it_and_its_class_by_the_area(epoch: int) -> None:
    images, shares = pasted(epoch)
    for number in range(3):
        foreign = images[number] != number
        rows, columns = (foreign[0].any(axis).nonzero().flatten() for axis in (1, 0))
        assert torch.equal(foreign[0], foreign[1])
        if foreign.any():
            assert set(images[number][foreign].tolist()) == {(number - 1) % 3}
            box = foreign[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert box.all()
        share = foreign[0].sum().item() / 200
        expected = torch.zeros(3)
        expected[number], expected[(number - 1) % 3] = 1 - share, share
        torch.testing.assert_close(shares[number], expected)


def test_the_box_has_the_proportions_of_the_picture_unless_it_is_cut_off() -> None:
    sizes = []
    for epoch in range(300):
        foreign = pasted(epoch)[0][0, 0] != 0
        rows, columns = foreign.any(1), foreign.any(0)
        inside = foreign.any() and not (rows[0] or rows[-1] or columns[0] or columns[-1])
        sizes += [(rows.sum().item(), columns.sum().item())] if inside else []
    assert len(sizes) > 20
    assert all(abs(2 * height - width) <= 2 for height, width in sizes)


def test_shares_before_boxes_are_cut_off_follow_the_beta_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every centre in the middle no box is cut off: Beta(2, 2) has mean 1/2 and variance 1/20."""
    images = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 200, 200)

    class Centred:
        def __init__(self, seed: int) -> None:
            self.generator = real(seed)

        def beta(self, a: float, b: float) -> float:
            return float(self.generator.beta(a, b))

        def random(self) -> float:
            return 0.5

    real = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", Centred)
    cut = Cutmix(2.0, 2, 0)
    shares = np.array([cut(images, torch.tensor([0, 1]), FIRST, epoch)[1][0, 1].item() for epoch in range(600)])
    assert shares.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 20 / 600))
    assert shares.var() == pytest.approx(1 / 20, rel=0.2)


def test_the_box_depends_on_seed_and_epoch_alone() -> None:
    assert torch.equal(pasted(3)[0], pasted(3)[0])
    assert not torch.equal(pasted(3)[0], pasted(4)[0])
    assert not torch.equal(pasted(3)[0], pasted(3, seed=1)[0])


def test_the_global_generators_and_the_images_are_left_alone() -> None:
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())
    pasted(5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert IMAGES[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_with_both_each_batch_is_blended_in_one_of_the_two_ways_as_often() -> None:
    both = blending(0.5, 1.0, 3, 0)
    assert both is not None
    mixup, cutmix = Mixup(0.5, 3, 0), Cutmix(1.0, 3, 0)
    mixed = 0
    for epoch in range(400):
        found, one, other = (way(IMAGES, CLASSES, FIRST, epoch) for way in (both, mixup, cutmix))
        is_mixed = torch.equal(found[0], one[0])
        assert is_mixed or torch.equal(found[0], other[0])
        mixed += is_mixed
    assert mixed == pytest.approx(200, abs=4 * 10)


def test_without_settings_nothing_blends() -> None:
    assert blending(None, None, 3, 0) is None
    assert isinstance(blending(None, 1.0, 3, 0), Cutmix)
    assert isinstance(blending(1.0, None, 3, 0), Mixup)
