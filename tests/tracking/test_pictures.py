"""Pictures: pixel for pixel, on examples small enough to write down."""

import numpy as np
import pytest
import torch

from runner.tracking import pictures
from runner.tracking.pictures import as_colours, as_rgb, grid

GREY = (224, 224, 224)


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 2 to 4 pixels instead of 64 to 256, 1 pixel apart."""
    monkeypatch.setattr(pictures, "_SMALLEST", 2)
    monkeypatch.setattr(pictures, "_LARGEST", 4)
    monkeypatch.setattr(pictures, "_GAP", 1)


def flat(*values, height=2, width=2):
    """One image of one grey value for each value, (N, H, W, 3)."""
    return np.array([np.full((height, width, 3), value) for value in values], dtype=np.uint8)


def test_floats_are_scaled_rounded_and_clipped():
    images = torch.tensor([0.0, 0.5, 1.0, -3.0, 7.0, float("nan")]).reshape(1, 1, 1, 6)
    assert as_rgb(images)[0, 0, :, 0].tolist() == [0, 128, 255, 0, 255, 0]


def test_bytes_are_taken_as_they_are():
    images = torch.arange(6, dtype=torch.uint8).reshape(1, 3, 1, 2)
    assert as_rgb(images).tolist() == [[[[0, 2, 4], [1, 3, 5]]]]


@pytest.mark.parametrize(
    ("num_channels", "shown"), [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (4, (0, 1, 2)), (7, (0, 1, 2))]
)
def test_which_channels_are_shown(num_channels, shown):
    images = torch.arange(num_channels, dtype=torch.uint8).reshape(1, num_channels, 1, 1)
    assert tuple(as_rgb(images)[0, 0, 0]) == shown


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_float_type_is_shown(dtype):
    assert as_rgb(torch.ones(1, 1, 1, 1, dtype=dtype, requires_grad=True)).tolist() == [[[[255, 255, 255]]]]


def test_a_grid_fills_rows_from_left_to_right_with_a_gap_between_tiles(small_tiles):
    picture = grid(flat(1, 2, 3))
    g = 224
    assert picture[..., 0].tolist() == [
        [1, 1, g, 2, 2],
        [1, 1, g, 2, 2],
        [g, g, g, g, g],
        [3, 3, g, g, g],
        [3, 3, g, g, g],
    ]


@pytest.mark.parametrize(("num", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (9, 3, 3), (16, 4, 4)])
def test_a_grid_is_nearly_square(small_tiles, num, rows, columns):
    assert grid(flat(*range(num))).shape == (3 * rows - 1, 3 * columns - 1, 3)


def test_small_images_are_enlarged_and_large_ones_thinned_out_without_mixing_pixels(small_tiles):
    one_pixel = np.array([[[[9, 8, 7]]]], dtype=np.uint8)
    assert grid(one_pixel).tolist() == [[[9, 8, 7]] * 2] * 2
    wide = np.arange(10, dtype=np.uint8).reshape(1, 1, 10, 1).repeat(3, axis=3)
    assert grid(wide)[0, :, 0].tolist() == [0, 3, 6, 9]


def test_real_sizes_end_between_64_and_256_pixels():
    assert grid(flat(0, height=8, width=8)).shape == (64, 64, 3)
    assert grid(flat(0, height=28, width=28)).shape == (84, 84, 3)
    assert grid(flat(0, height=256, width=100)).shape == (256, 100, 3)
    assert grid(flat(0, height=1024, width=512)).shape == (256, 128, 3)


def test_every_class_has_its_own_colour_and_what_is_no_class_is_grey():
    colours = as_colours(torch.tensor([[[*range(12), 255]]], dtype=torch.uint8), num_classes=12)[0, 0]
    assert tuple(colours[0]) == (0, 0, 0)
    assert tuple(colours[12]) == (128, 128, 128)
    distances = [
        int(np.abs(colours[a].astype(int) - colours[b].astype(int)).sum()) for a in range(13) for b in range(a)
    ]
    assert min(distances) > 60


def test_a_binary_mask_has_two_colours_even_where_the_model_has_one_output():
    one, two = (as_colours(torch.tensor([[[0, 1, 2, -1]]]), num_classes=n)[0, 0].tolist() for n in (1, 2))
    assert one == two
    assert one[0] == [0, 0, 0]
    assert one[1] not in ([0, 0, 0], [128, 128, 128])
    assert one[2] == one[3] == [128, 128, 128]
