import numpy as np
import pytest

from runner.data.sources.shapes import Shapes
from runner.errors import UserError


def test_the_same_settings_draw_the_same_images():
    first, second = (Shapes(count=3).read() for _ in range(2))
    assert (first.inputs[0] == second.inputs[0]).all()
    assert (first.targets == second.targets).all()


def test_an_image_does_not_depend_on_how_many_are_drawn():
    assert (Shapes(count=2).read().inputs[0] == Shapes(count=5).read().inputs[0][:2]).all()


def test_another_seed_draws_other_images():
    assert (Shapes(count=1, seed=0).read().targets != Shapes(count=1, seed=1).read().targets).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_without_noise_the_mask_is_where_brightness_leaves_that_of_the_background(channels):
    samples = Shapes(count=8, noise=0, channels=channels).read()
    images = samples.inputs[0].astype(int)
    assert images.shape == (8, channels, 64, 64)
    outside = ((images < 77) | (images > 177)).all(axis=1)
    assert (samples.targets == outside).all()
    assert 0.02 < samples.targets.mean() < 0.5


def test_images_are_drawn_at_the_size_asked_for():
    samples = Shapes(count=2).read((48, 32))
    assert samples.inputs[0].shape == (2, 1, 48, 32)
    assert samples.targets.shape == (2, 48, 32)


def test_no_threshold_finds_the_shapes():
    samples = Shapes(count=50).read()
    distance = np.abs(samples.inputs[0][:, 0].astype(int) - 127)
    shape = samples.targets == 1
    dice = [2 * ((distance > t) & shape).sum() / ((distance > t).sum() + shape.sum()) for t in range(0, 127, 5)]
    assert max(dice) < 0.75


@pytest.mark.parametrize("wrong", [{"count": 0}, {"max_shapes": 0}, {"noise": -1}, {"channels": 2}])
def test_settings_that_draw_nothing_are_refused(wrong):
    with pytest.raises(UserError, match=f"data.source.{next(iter(wrong))}="):
        Shapes(**wrong).check()


def test_the_fingerprint_changes_with_every_setting():
    sources = [Shapes(), Shapes(count=7), Shapes(seed=7), Shapes(max_shapes=7), Shapes(noise=7), Shapes(channels=3)]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    assert Shapes().fingerprint() == Shapes().fingerprint()
