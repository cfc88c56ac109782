import numpy as np
import pytest
import torch
from no_waiting import NoWaiting
from torch._subclasses import FakeTensorMode

from runner.data.augment import (
    Augmentation,
    CenterCrop,
    ColorJitter,
    HorizontalFlip,
    QuarterTurns,
    RandomCrop,
    Rotate,
    Shift,
    VerticalFlip,
)
from runner.data.loader import Batch
from runner.data.prepare import Prepare
from runner.errors import UserError


def batch_of(*inputs, targets=None, indices=None):
    count = len(inputs[0])
    targets = torch.zeros(count, dtype=torch.int64) if targets is None else targets
    return Batch(inputs, targets, torch.arange(count) if indices is None else indices)


BYTES = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)


def test_bytes_become_0_to_1():
    (images,), _ = Prepare()(batch_of(BYTES))
    assert images.dtype == torch.float32
    assert images.flatten().tolist() == [0, np.float32(0.2), 1]


def test_bytes_are_scaled_as_torchvisions_to_tensor_scales_them():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    (images,), _ = Prepare()(batch_of(every))
    assert torch.equal(
        images, every.to(torch.get_default_dtype()).div(255)
    )  # torchvision.transforms.functional.to_tensor


def test_16_bits_become_0_to_1():
    values = torch.from_numpy(np.array([0, 13107, 65535], np.uint16)).view(1, 1, 1, 3)
    (images,), _ = Prepare()(batch_of(values))
    assert images.flatten().tolist() == [0, np.float32(0.2), 1]


@pytest.mark.parametrize(
    ("change", "has_masks", "told"),
    [
        (lambda images, masks, draw: images, False, r"gives a Tensor\n.*the images, and None, where it got no masks"),
        (lambda images, masks, draw: (images, None), True, r"gives a Tensor, None\n.*the images, and the masks"),
        (lambda images, masks, draw: None, True, r"gives None\n"),
    ],
)
def test_a_change_of_ones_own_that_gives_no_images_and_masks_is_named(change, has_masks, told):
    targets = torch.zeros(2, 1, 3, dtype=torch.uint8) if has_masks else None
    with pytest.raises(UserError, match=f"data.augment or data.eval_transforms: function {told}"):
        Prepare(augment=[change])(batch_of(BYTES.expand(2, 1, 1, 3), targets=targets), training=True)


def test_floating_point_images_are_taken_as_they_are():
    values = torch.tensor([-1.0, 0.5, 3.0]).view(1, 1, 1, 3)
    (images,), _ = Prepare()(batch_of(values))
    assert torch.equal(images, values)


def test_each_channel_is_normalised_by_its_own_mean_and_deviation():
    white = torch.full((1, 2, 1, 1), 255, dtype=torch.uint8)
    (images,), _ = Prepare(mean=[0.5, 0.2], std=[0.5, 0.4])(batch_of(white))
    assert images.flatten().tolist() == pytest.approx([1, 2])


def test_one_mean_and_deviation_serve_all_channels():
    white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    (images,), _ = Prepare(mean=[0.5], std=[0.25])(batch_of(white))
    assert images.flatten().tolist() == [2, 2, 2]


def test_features_are_left_alone_and_come_after_the_image():
    features = torch.tensor([[3.0, 4.0]])
    (images, second), _ = Prepare(mean=[0.5], std=[0.5], augment=[HorizontalFlip(1)])(
        batch_of(BYTES, features), training=True
    )
    assert images.flatten().tolist() == pytest.approx([1, -0.6, -1])
    assert torch.equal(second, features)


def test_features_are_scaled_column_by_column_and_the_store_stays_as_it_is():
    features = torch.tensor([[3.0, 4.0]])
    (scaled,), _ = Prepare(mean=[1.0, 2.0], std=[2.0, 4.0])(batch_of(features), training=True)
    assert scaled.tolist() == [[1.0, 0.5]]
    assert features.tolist() == [[3.0, 4.0]]


def test_signals_are_scaled_channel_by_channel():
    (scaled,), _ = Prepare(mean=[1.0, 2.0], std=[2.0, 4.0])(batch_of(torch.tensor([[[3.0, 5.0], [4.0, 6.0]]])))
    assert scaled.tolist() == [[[1.0, 2.0], [0.5, 1.0]]]


@pytest.mark.parametrize(
    ("targets", "dtype"),
    [
        (torch.zeros(1, dtype=torch.int64), torch.int64),
        (torch.zeros(1, 1, 3, dtype=torch.uint8), torch.int64),
        (torch.zeros(1), torch.float32),
        (torch.zeros(1, 2), torch.float32),
    ],
)
def test_classes_and_masks_become_int64_and_values_stay_float32(targets, dtype):
    _, prepared = Prepare()(batch_of(BYTES, targets=targets))
    assert prepared.dtype == dtype
    assert prepared.shape == targets.shape


def test_only_training_batches_are_augmented():
    prepare = Prepare(augment=[HorizontalFlip(1)])
    (evaluated,), _ = prepare(batch_of(BYTES))
    (trained,), _ = prepare(batch_of(BYTES), training=True)
    assert torch.equal(trained, evaluated.flip(-1))


def test_masks_are_augmented_with_their_images():
    masks = torch.tensor([0, 1, 2], dtype=torch.uint8).view(1, 1, 3)
    (images,), targets = Prepare(augment=[HorizontalFlip(1)])(batch_of(BYTES, targets=masks), training=True)
    assert images.flatten().tolist() == [1, np.float32(0.2), 0]
    assert targets.flatten().tolist() == [2, 1, 0]


def test_augmentation_depends_on_seed_epoch_and_sample_alone():
    images = torch.randint(0, 256, (8, 1, 6, 6), dtype=torch.uint8)
    augment = [HorizontalFlip(), Shift(2)]
    (whole,), _ = Prepare(augment=augment, seed=1)(batch_of(images), epoch=2, training=True)
    few = torch.tensor([5, 2])
    (part,), _ = Prepare(augment=augment, seed=1)(batch_of(images[few], indices=few), epoch=2, training=True)
    assert torch.equal(whole[few], part)
    (other_epoch,), _ = Prepare(augment=augment, seed=1)(batch_of(images), epoch=3, training=True)
    (other_seed,), _ = Prepare(augment=augment, seed=2)(batch_of(images), epoch=2, training=True)
    assert not torch.equal(whole, other_epoch)
    assert not torch.equal(whole, other_seed)


def test_two_augmentations_of_one_kind_draw_different_numbers():
    images = torch.rand(64, 1, 1, 2)
    (twice,), _ = Prepare(augment=[HorizontalFlip(), HorizontalFlip()])(batch_of(images), training=True)
    assert not torch.equal(twice, images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("change", [HorizontalFlip(), CenterCrop([2, 2])], ids=["copied", "a piece of it"])
def test_the_batch_is_not_changed(dtype, change):
    images = torch.full((1, 1, 4, 2), 2, dtype=dtype)
    Prepare([0.5], [0.5], [change])(batch_of(images), training=True)
    assert images.unique().tolist() == [2]


@pytest.mark.parametrize("augment", [(), (HorizontalFlip(),)])
def test_images_have_the_memory_format_asked_for(augment):
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    prepare = Prepare([0.5], [0.5], augment)
    prepare.memory_format = torch.channels_last
    (prepared,), _ = prepare(batch_of(images), training=True)
    assert prepared.is_contiguous(memory_format=torch.channels_last)


def test_means_that_do_not_fit_the_channels_are_refused():
    with pytest.raises(UserError, match="mean has 3 values, and the images have 1 channels"):
        Prepare(mean=[0.5] * 3)(batch_of(BYTES))


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(UserError, match=r"data\.normalize\.std=\[0\.0\]"):
        Prepare(std=[0.0])


COLOURS = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
EVERY_AUGMENTATION = [
    HorizontalFlip(),
    VerticalFlip(),
    QuarterTurns(),
    Shift(2),
    Shift(2, "reflection"),
    RandomCrop([4, 6]),
    CenterCrop([4, 6]),
    ColorJitter(0.2, 0.2, 0.2),
    Rotate(10),
]


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.parametrize("augmentation", EVERY_AUGMENTATION, ids=lambda each: type(each).__name__)
def test_a_gpu_is_never_waited_for(augmentation):
    """A faked one: a copy from memory that is not page-locked, or of a constant, would stop the program until then."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        prepare = Prepare([0.5], [0.5], [augmentation], [augmentation], device="cuda")
        with NoWaiting():
            for training in (True, False):
                (images,), _ = prepare(batch_of(COLOURS, targets=COLOURS[:, 0]), training=training)
    assert images.device.type == "cuda"


def test_every_augmentation_is_tried_on_a_gpu():
    import runner.data.augment as module

    known = {each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__}
    assert {type(each) for each in EVERY_AUGMENTATION} == known - {Augmentation}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_prepares_the_same_batch():
    images = torch.randint(0, 256, (8, 1, 6, 6), dtype=torch.uint8)
    settings = {"mean": [0.5], "std": [0.25], "augment": [HorizontalFlip(), Shift(2)]}
    (here,), _ = Prepare(**settings)(batch_of(images), training=True)
    (there,), targets = Prepare(**settings, device="cuda")(batch_of(images), training=True)
    assert there.is_cuda
    assert targets.is_cuda
    assert torch.allclose(here, there.cpu(), atol=1e-6)  # a GPU multiplies by 1/255 instead of dividing
