import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from runner.data.sources.digits import Digits
from runner.data.wrap import as_source
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


def test_the_first_sample_says_how_many_features_and_values_there_are():
    facts = as_source(Listed([(torch.zeros(3, 4, 5), torch.zeros(7), torch.zeros(2))])).facts()
    assert (facts.num_features, facts.num_values) == (7, 2)


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
    samples = as_source(Listed([(image, 0), (image, 1)])).read()
    assert samples.inputs[0].dtype == np.uint8
    assert samples.inputs[0].tolist() == [[GREY.tolist()]] * 2


def test_colour_pil_images_get_their_channels_first():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    images = as_source(Listed([(Image.fromarray(pixels), 0)])).read().inputs[0]
    assert (images[0] == pixels.transpose(2, 0, 1)).all()


def test_pil_images_are_read_as_their_files_would_be(tmp_path):
    deep = np.array([[0, 300], [3000, 65535]])
    images = [
        Image.fromarray(deep.astype(np.uint16)),
        Image.fromarray(deep.astype(np.int32)),  # mode I
        Image.fromarray(deep.astype(">u2")),  # mode I;16B
    ]
    for image in images:
        (read,) = as_source(Listed([(image, 0)])).read().inputs
        assert (read.dtype, read.tolist()) == (np.uint16, [[deep.tolist()]])
    (read,) = as_source(Listed([(Image.fromarray(np.float32([[0.25, 0.5]])), 0)])).read().inputs
    assert read.tolist() == [[[[0.25, 0.5]]]]


def test_floating_point_becomes_float32():
    assert as_source(Listed([(torch.zeros(1, 2, 2, dtype=torch.float64), 0)])).read().inputs[0].dtype == np.float32


@pytest.mark.parametrize("value", [torch.ones(3, requires_grad=True), torch.ones(3, dtype=torch.bfloat16)])
def test_tensors_of_any_type_and_history_are_taken(value):
    assert as_source(Listed([(value, 0)])).read().inputs[0].tolist() == [[1, 1, 1]]


def test_two_axes_are_a_signal_where_images_have_no_size_and_a_grey_image_where_they_have_one():
    dataset = Listed([(torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]), 0)])
    assert as_source(dataset).read().inputs[0].tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert as_source(dataset).read((2, 3)).inputs[0].tolist() == [[[[0, 1, 2], [3, 4, 5]]]]


@pytest.mark.parametrize(
    ("value", "target", "reason"),
    [
        (torch.zeros(8, 6, 3), 0, r"shape \(8, 6, 3\) has its channels at the end.*\(channels, height, width\)"),
        (torch.zeros(3, 8, 6, dtype=torch.int64), 0, "is int64, where images are uint8, or floats of 0 to 1"),
        (torch.tensor([1.0, float("nan")]), 0, "a number of the input is not finite"),
        ("one.png", 0, "the input is 'one.png', where numbers are expected"),
        (torch.zeros(2), "cat", "the target is 'cat', where numbers are expected"),
        (torch.zeros(2), None, "the target is NoneType, where numbers are expected"),
        (torch.zeros(2), float("inf"), "a number of the target is not finite"),
        (torch.zeros(1, 1, 2), torch.tensor([[0, 2 / 255]]), "a mask has the value 0.007843, where classes are whole"),
        (torch.zeros(1, 4, 4), torch.zeros(4, 2), r"the image is 4 x 4 \(height x width\), its mask 4 x 2"),
    ],
)
def test_what_would_be_misread_is_refused_with_the_sample(value, target, reason):
    with pytest.raises(UserError, match=rf"^sample 0: .*{reason}"):
        as_source(Listed([(value, target)])).read((4, 4))
    with pytest.raises(UserError, match=rf"^sample 0: .*{reason}"):
        as_source(Listed([(value, target)])).facts()


def test_several_inputs_stay_several():
    samples = as_source(Listed([(torch.zeros(1, 2, 2), torch.tensor([1, 2, 3]), number) for number in range(4)])).read()
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
    targets = as_source(Listed([(torch.zeros(4), target)])).read().targets
    assert targets.dtype == dtype
    assert targets.shape == shape


def test_images_and_masks_are_resized_where_a_size_is_given():
    small, large = torch.tensor([[0, 9]]), torch.tensor([[0, 0, 9, 9]] * 2)
    samples = as_source(Listed([(torch.zeros(1, 1, 2), small), (torch.zeros(1, 2, 4), large)])).read((1, 4))
    assert samples.inputs[0].shape == (2, 1, 1, 4)
    assert samples.targets.tolist() == [[[0, 0, 9, 9]]] * 2


def test_samples_of_different_sizes_are_named():
    with pytest.raises(UserError, match=r"sample 0 is 1 x 1 x 2 .*, but sample 1 is 1 x 2 x 4"):
        as_source(Listed([(torch.zeros(1, 1, 2), 0), (torch.zeros(1, 2, 4), 0)])).read()


def test_samples_that_cannot_be_read_are_named():
    def broken():
        raise OSError("the disk is gone")

    with pytest.raises(UserError, match=r"sample 1: OSError: the disk is gone \(.*test_wrap.py, line \d+, in "):
        as_source(Listed([(torch.zeros(1, 1, 2), 0), broken])).read()


def test_a_sample_is_a_tuple():
    with pytest.raises(UserError, match=r"Listed\[0\] is Tensor"):
        as_source(Listed([torch.zeros(2)])).read()


def test_an_empty_dataset_is_refused():
    with pytest.raises(UserError, match="Listed is empty"):
        as_source(Listed([])).read()


def test_the_fingerprint_follows_what_the_samples_are_and_not_their_size():
    def source(value):
        return as_source(Listed([(torch.full((1, 2, 2), value), 0)]))

    asked_before, asked_after = source(1.0), source(1.0)
    before = asked_before.fingerprint()
    asked_after.read((4, 4))
    assert asked_after.fingerprint() == before != source(2.0).fingerprint()
