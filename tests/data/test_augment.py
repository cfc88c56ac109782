import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from runner.data.augment import (
    CenterCrop,
    ColorJitter,
    HorizontalFlip,
    QuarterTurns,
    RandomCrop,
    Rotate,
    Shift,
    VerticalFlip,
)
from runner.data.random import Draws
from runner.errors import UserError


def drawing(*rows):
    """A draw that gives these numbers, a row for each sample."""
    numbers = torch.tensor(rows)

    def draw(count):
        assert numbers.shape[1] == count
        return numbers

    return draw


def numbered(batch, height, width, channels=2):
    """Images whose every value is another, and masks that are their first channels."""
    images = torch.arange(batch * channels * height * width, dtype=torch.float32).view(batch, channels, height, width)
    return images, images[:, 0].to(torch.int64)


ALL = [HorizontalFlip(), VerticalFlip(), QuarterTurns(), Shift(3), Shift(3, "reflection"), Rotate(30)]
ids = [type(change).__name__ for change in ALL]


@pytest.mark.parametrize("change", ALL, ids=ids)
def test_shape_and_type_stay_and_nothing_is_changed_in_place(change):
    images, masks = torch.rand(5, 3, 8, 8), torch.randint(0, 4, (5, 8, 8), dtype=torch.uint8)
    before = images.clone(), masks.clone()
    new_images, new_masks = change(images, masks, Draws(0, 0, torch.arange(5)))
    assert (new_images.shape, new_images.dtype) == (images.shape, images.dtype)
    assert (new_masks.shape, new_masks.dtype) == (masks.shape, masks.dtype)
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


@pytest.mark.parametrize("change", ALL, ids=ids)
def test_a_sample_is_changed_alike_in_every_batch(change):
    images, masks = torch.rand(8, 1, 8, 8), torch.randint(0, 4, (8, 8, 8))
    together = change(images, masks, Draws(1, 2, torch.arange(8)))
    few = torch.tensor([6, 1])
    alone = change(images[few], masks[few], Draws(1, 2, few))
    assert torch.equal(together[0][few], alone[0])
    assert torch.equal(together[1][few], alone[1])


@pytest.mark.parametrize("change", ALL, ids=ids)
def test_samples_are_changed_differently(change):
    images = torch.rand(1, 1, 8, 8).expand(16, 1, 8, 8)
    changed, _ = change(images, None, Draws(0, 0, torch.arange(16)))
    assert len(torch.unique(changed.flatten(1), dim=0)) > 1


@pytest.mark.parametrize("change", ALL, ids=ids)
def test_masks_may_be_absent(change):
    assert change(torch.rand(2, 1, 8, 8), None, Draws(0, 0, torch.arange(2)))[1] is None


@pytest.mark.parametrize("change", [change for change in ALL if not isinstance(change, Rotate)], ids=ids[:-1])
def test_image_and_mask_move_together(change):
    images, masks = numbered(6, 8, 8)
    images[:, 0] = masks % 250
    images, masks = change(images, masks % 250, Draws(0, 0, torch.arange(6)))
    assert torch.equal(images[:, 0], masks.float())


def test_a_flip_happens_below_its_probability():
    images, masks = numbered(2, 2, 3)
    draw = drawing([0.29], [0.3])
    flipped, flipped_masks = HorizontalFlip(0.3)(images, masks, draw)
    assert torch.equal(flipped, torch.stack([images[0].flip(-1), images[1]]))
    assert torch.equal(flipped_masks, torch.stack([masks[0].flip(-1), masks[1]]))
    assert torch.equal(VerticalFlip(0.3)(images, masks, draw)[0], torch.stack([images[0].flip(-2), images[1]]))


@pytest.mark.parametrize(("p", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_flips_are_as_frequent_as_asked_for(p, share):
    images = torch.tensor([0.0, 1.0]).expand(4000, 1, 1, 2)
    flipped, _ = HorizontalFlip(p)(images, None, Draws(0, 0, torch.arange(4000)))
    assert abs(flipped[:, 0, 0, 0].mean() - share) < 0.03


def test_quarter_turns_are_those_of_rot90_each_as_likely():
    images, masks = numbered(4, 3, 3)
    turned, turned_masks = QuarterTurns()(images, masks, drawing([0.0], [0.25], [0.5], [0.9999999]))
    for turns in range(4):
        assert torch.equal(turned[turns], torch.rot90(images[turns], turns, (-2, -1)))
        assert torch.equal(turned_masks[turns], torch.rot90(masks[turns], turns, (-2, -1)))


def test_quarter_turns_need_square_images():
    with pytest.raises(UserError, match="these are 2 x 3"):
        QuarterTurns()(torch.rand(1, 1, 2, 3), None, Draws(0, 0, torch.arange(1)))


# With pixels=2, numbers below 0.2 move by -2 (up, left), from 0.8 on by 2 (down, right).
def test_a_shift_brings_in_zeros():
    images, masks = numbered(1, 3, 4, channels=1)
    shifted, shifted_masks = Shift(2)(images, masks, drawing([0.7, 0.1]))
    assert shifted[0, 0].tolist() == [[0, 0, 0, 0], [2, 3, 0, 0], [6, 7, 0, 0]]
    assert shifted_masks.tolist() == [[[0, 0, 0, 0], [2, 3, 0, 0], [6, 7, 0, 0]]]


def test_a_shift_may_reflect_about_the_outermost_pixels():
    images, _ = numbered(1, 1, 4, channels=1)
    images = images.expand(1, 1, 4, 4)
    right, _ = Shift(2, "reflection")(images, None, drawing([0.5, 0.999999]))
    left, _ = Shift(2, "reflection")(images, None, drawing([0.5, 0.0]))
    assert right[0, 0, 0].tolist() == [2, 1, 0, 1]
    assert left[0, 0, 0].tolist() == [2, 3, 2, 1]


def test_every_shift_is_as_likely():
    images = torch.zeros(5000, 1, 5, 5)
    images[:, :, 2, 2] = 1
    shifted, _ = Shift(1)(images, None, Draws(0, 0, torch.arange(5000)))
    where = shifted.sum(dim=0)[0]
    assert where.sum() == 5000
    assert (where[1:4, 1:4] - 5000 / 9).abs().max() < 5 * np.sqrt(5000 / 9)


def test_a_shift_farther_than_the_image_leaves_nothing():
    assert Shift(10)(torch.ones(1, 1, 3, 3), None, drawing([0.0, 0.5]))[0].sum() == 0
    with pytest.raises(UserError, match="pixels=10 is too far for images of 3 x 3"):
        Shift(10, "reflection")(torch.ones(1, 1, 3, 3), None, drawing([0.0, 0.5]))


def test_a_rotation_by_90_degrees_is_a_quarter_turn_counterclockwise():
    images, masks = numbered(2, 4, 4)
    turned, turned_masks = Rotate(90)(images, masks, drawing([1.0], [0.0]))
    assert torch.allclose(turned[0], torch.rot90(images[0], 1, (-2, -1)), atol=1e-4)
    assert torch.allclose(turned[1], torch.rot90(images[1], -1, (-2, -1)), atol=1e-4)
    assert torch.equal(turned_masks[0], torch.rot90(masks[0], 1, (-2, -1)))


def test_a_rotation_of_an_oblong_image_keeps_its_proportions():
    images = torch.zeros(1, 1, 9, 17)
    images[0, 0, 4, 8 + 3] = 1  # three pixels right of the centre
    turned, _ = Rotate(90)(images, None, drawing([1.0]))
    assert turned[0, 0, 4 - 3, 8].item() == pytest.approx(1, abs=1e-4)


def test_a_rotation_by_nothing_changes_nothing():
    images, masks = numbered(1, 5, 7)
    turned, turned_masks = Rotate(30)(images, masks, drawing([0.5]))
    assert torch.allclose(turned, images, atol=1e-4)
    assert torch.equal(turned_masks, masks)


def test_a_rotated_mask_has_no_new_values():
    masks = torch.randint(0, 2, (8, 9, 9)) * 7
    _, turned = Rotate(180, "border")(masks[:, None].float(), masks, Draws(0, 0, torch.arange(8)))
    assert set(turned.unique().tolist()) == {0, 7}


@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_a_rotation_may_leave_no_black_corners(padding):
    assert Rotate(45, padding)(torch.ones(1, 1, 9, 9), None, drawing([1.0]))[0].min() > 0.999
    assert Rotate(45)(torch.ones(1, 1, 9, 9), None, drawing([1.0]))[0].min() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: HorizontalFlip(1.5),
        lambda: VerticalFlip(-0.1),
        lambda: Shift(-1),
        lambda: Shift(1, "mirror"),
        lambda: Rotate(200),
        lambda: Rotate(10, "mirror"),
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="expected"):
        wrong()


# --- parts and colours ------------------------------------------------------------------------------------------------

NUMBERED = torch.arange(2 * 3 * 5 * 6).view(2, 3, 5, 6).float()


def draws(*numbers):
    """Gives the same numbers to each of two samples."""
    return lambda count: torch.tensor([numbers] * 2)


@pytest.mark.parametrize(("numbers", "top", "left"), [((0.0, 0.0), 0, 0), ((0.999, 0.999), 2, 4), ((0.4, 0.3), 1, 1)])
def test_a_random_crop_is_a_window_anywhere_and_masks_have_the_same(numbers, top, left):
    images, masks = RandomCrop([3, 2])(NUMBERED, NUMBERED[:, 0].to(torch.uint8), draws(*numbers))
    assert torch.equal(images, NUMBERED[:, :, top : top + 3, left : left + 2])
    assert torch.equal(masks.float(), NUMBERED[:, 0, top : top + 3, left : left + 2] % 256)


def test_the_middle_is_that_of_torchvision():
    images, masks = CenterCrop([3, 2])(NUMBERED, NUMBERED[:, 0], draws())
    assert torch.equal(images, v2.functional.center_crop(NUMBERED, [3, 2]))
    assert torch.equal(masks, images[:, 0])


@pytest.mark.parametrize("crop", [RandomCrop, CenterCrop])
def test_a_part_larger_than_the_image_is_refused_with_a_size_that_will_do(crop):
    with pytest.raises(UserError, match=r"size=\[6, 2\], but the images are 5 x 6[\s\S]*data.load_size=\[6,6\]"):
        crop([6, 2])(NUMBERED, None, draws(0.0, 0.0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "change", "place"), [("brightness", 0.4, 0), ("contrast", 0.8, 1), ("saturation", 2.0, 2)]
)
def test_each_colour_change_is_that_of_torchvision(channels, name, change, place):
    images = torch.rand(2, channels, 5, 6, generator=torch.Generator().manual_seed(0))
    draw = 0.75
    low, high = max(0.0, 1 - change), 1 + change
    adjust = getattr(v2.functional, f"adjust_{name}")
    jittered, _ = ColorJitter(**{name: change})(images, None, draws(*(draw if i == place else 0.5 for i in range(3))))
    torch.testing.assert_close(jittered, adjust(images, low + draw * (high - low)), atol=1e-6, rtol=0)


def test_without_a_change_colours_stay_and_alpha_always_does():
    images = torch.rand(2, 4, 5, 6)
    same, masks = ColorJitter()(images, None, draws(0.1, 0.9, 0.3))
    assert torch.equal(same, images)
    assert masks is None
    changed, _ = ColorJitter(0.5, 0.5, 0.5)(images, None, draws(0.1, 0.9, 0.3))
    assert torch.equal(changed[:, 3], images[:, 3])
    assert not torch.equal(changed[:, :3], images[:, :3])
