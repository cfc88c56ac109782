"""The sources on published data; skipped where there are none beside the checkout."""

from pathlib import Path

import numpy as np
import pytest

from runner.data.sources.csv_images import CsvImages
from runner.data.sources.idx import MNIST
from runner.data.sources.mask_folder import MaskFolder
from runner.data.split import split
from runner.data.stats import channel_stats

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no folder of real data beside the checkout")


def test_mnist_is_read_in_its_published_order():
    samples = MNIST(DATA, download=False).read()
    divided = split(samples, val="test", test=None)
    assert [len(part) for part in divided] == [60_000, 10_000, 10_000]
    assert samples.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert samples.targets[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    mean, std = channel_stats(samples.inputs[0], divided.train)
    assert mean == pytest.approx([0.1307], abs=1e-4)  # the numbers of PyTorch's MNIST example
    assert std == pytest.approx([0.3081], abs=1e-4)


def test_cats_and_dogs_are_read_from_their_table():
    source = CsvImages(DATA / "cats_and_dogs" / "label.csv")
    facts = source.facts()
    assert (facts.channels, facts.image_size, facts.num_classes) == (3, (32, 32), 2)
    samples = source.read()
    assert np.bincount(samples.targets).tolist() == [1500, 1500]
    assert all(
        name.startswith(("cat", "dog")[label]) for name, label in zip(samples.names, samples.targets, strict=True)
    )


def test_five_membrane_pictures_are_held_out_with_all_their_tiles():
    membrane = DATA / "membrane"
    source = MaskFolder(membrane / "image", membrane / "label", mask_values=[255, 0], tile=[256, 256])
    samples = source.read()
    assert samples.inputs[0].shape == (120, 1, 256, 256)
    assert 0.2 < samples.targets.mean() < 0.25  # membrane, which the files mark with 0, is the rarer class
    divided = split(samples, val=5, test=0)
    assert (len(divided.train), len(divided.val)) == (100, 20)
    assert not set(samples.groups[divided.train]) & set(samples.groups[divided.val])
