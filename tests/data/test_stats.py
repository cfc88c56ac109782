import numpy as np
import pytest

from runner.data import stats
from runner.data.stats import channel_stats


def test_mean_and_deviation_are_those_of_each_channel_on_0_to_1():
    images = np.zeros((1, 2, 1, 2), np.uint8)
    images[0, 0] = [[0, 255]]
    images[0, 1] = [[51, 153]]
    mean, std = channel_stats(images)
    assert mean == pytest.approx([0.5, 0.4])
    assert std == pytest.approx([0.5, 0.2])


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_many_images_are_looked_at_in_pieces(monkeypatch, dtype, white):
    monkeypatch.setattr(stats, "_CHUNK", 100)
    images = (np.random.default_rng(0).random((37, 3, 4, 5)) * white).astype(dtype)
    mean, std = channel_stats(images)
    assert mean == pytest.approx(images.mean(axis=(0, 2, 3), dtype=np.float64) / white)
    assert std == pytest.approx(images.std(axis=(0, 2, 3), dtype=np.float64) / white)


def test_only_the_samples_named_are_looked_at():
    images = np.array([0, 255, 51], np.uint8).reshape(3, 1, 1, 1)
    assert channel_stats(images, np.array([2]))[0] == pytest.approx([0.2])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_channel_of_one_value_is_divided_by_1(dtype):
    assert channel_stats(np.full((7, 1, 3, 3), 123, dtype))[1] == [1]
