import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from runner.data.sources.digits import Digits
from runner.data.wrap import as_source, from_dataset
from runner.errors import UserError


class Listed(Dataset):
    """A Dataset of the given samples."""

    def __init__(self, samples, classes=None):
        self.samples = samples
        if classes:
            self.classes = classes

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        sample = self.samples[index]
        return sample() if callable(sample) else sample


GREY = np.arange(6, dtype=np.uint8).reshape(2, 3)


def test_a_source_is_taken_as_it_is():
    digits = Digits()
    assert as_source(digits) is digits


def test_a_dataset_is_wrapped():
    source = as_source(Listed([(torch.zeros(3, 4, 5), 1)], classes=["cat", "dog"]))
    source.check()
    facts = source.facts()
    assert (facts.channels, facts.image_size, facts.num_classes, facts.class_names) == (3, (4, 5), 2, ("cat", "dog"))
    assert source.read().class_names == ("cat", "dog")


def test_what_is_neither_is_refused():
    with pytest.raises(UserError, match=r"data.source: int is nothing that samples can be read from"):
        as_source(5)


@pytest.mark.parametrize(
    "image",
    [
        torch.from_numpy(GREY)[None],
        torch.from_numpy(GREY),
        GREY[None],
        Image.fromarray(GREY),
    ],
)
def test_images_may_be_tensors_arrays_or_pil_images(image):
    samples = from_dataset(Listed([(image, 0), (image, 1)]))
    assert samples.inputs[0].dtype == np.uint8
    assert samples.inputs[0].tolist() == [[GREY.tolist()]] * 2


def test_colour_pil_images_get_their_channels_first():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    images = from_dataset(Listed([(Image.fromarray(pixels), 0)])).inputs[0]
    assert (images[0] == pixels.transpose(2, 0, 1)).all()


def test_floating_point_becomes_float32():
    assert from_dataset(Listed([(torch.zeros(1, 2, 2, dtype=torch.float64), 0)])).inputs[0].dtype == np.float32


def test_several_inputs_stay_several():
    samples = from_dataset(Listed([(torch.zeros(1, 2, 2), torch.tensor([1, 2, 3]), number) for number in range(4)]))
    assert [values.shape for values in samples.inputs] == [(4, 1, 2, 2), (4, 3)]
    assert samples.inputs[1].dtype == np.float32
    assert samples.targets.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("target", "dtype", "shape"),
    [
        (3, np.int64, (1,)),
        (torch.tensor(3), np.int64, (1,)),
        (True, np.int64, (1,)),
        (0.5, np.float32, (1,)),
        (torch.tensor([0.5, 1.5]), np.float32, (1, 2)),
        (torch.ones(2, 2, dtype=torch.int64), np.uint8, (1, 2, 2)),
        (Image.fromarray(GREY), np.uint8, (1, 2, 3)),
    ],
)
def test_targets_are_classes_values_or_masks(target, dtype, shape):
    targets = from_dataset(Listed([(torch.zeros(1, 2, 2), target)])).targets
    assert targets.dtype == dtype
    assert targets.shape == shape


def test_images_and_masks_are_resized_where_a_size_is_given():
    mask = torch.tensor([[0, 9]])
    samples = from_dataset(Listed([(torch.zeros(1, 1, 2), mask), (torch.zeros(1, 2, 4), mask)]), image_size=(1, 4))
    assert samples.inputs[0].shape == (2, 1, 1, 4)
    assert samples.targets[0].tolist() == [[0, 0, 9, 9]]


def test_samples_of_different_sizes_are_named():
    with pytest.raises(UserError, match=r"sample 0 is 1 x 1 x 2 .*, but sample 1 is 1 x 2 x 4"):
        from_dataset(Listed([(torch.zeros(1, 1, 2), 0), (torch.zeros(1, 2, 4), 0)]))


def test_samples_that_cannot_be_read_are_named():
    def broken():
        raise OSError("the disk is gone")

    with pytest.raises(UserError, match=r"sample 1: OSError: the disk is gone \(.*test_wrap.py, line \d+, in "):
        from_dataset(Listed([(torch.zeros(1, 1, 2), 0), broken]))


def test_a_sample_is_a_tuple():
    with pytest.raises(UserError, match=r"Listed\[0\] is Tensor"):
        from_dataset(Listed([torch.zeros(2)]))


def test_an_empty_dataset_is_refused():
    with pytest.raises(UserError, match="Listed is empty"):
        from_dataset(Listed([]))


def test_the_fingerprint_follows_what_the_samples_are_and_not_their_size():
    def source(value):
        return as_source(Listed([(torch.full((1, 2, 2), value), 0)]))

    asked_before, asked_after = source(1.0), source(1.0)
    before = asked_before.fingerprint()
    asked_after.read((4, 4))
    assert asked_after.fingerprint() == before != source(2.0).fingerprint()
