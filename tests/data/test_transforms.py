import random

import numpy as np
import pytest
import torch
from torchvision import transforms
from torchvision.transforms import v2

from runner.data.loader import Batch, Batches, TensorStore
from runner.data.source import Samples
from runner.data.transforms import Collated, PerSample, is_torchvision
from runner.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), np.uint8)
JITTER = [v2.RandomResizedCrop([6, 6]), v2.RandomHorizontalFlip(), v2.ColorJitter(0.5, 0.5)]


@pytest.fixture
def store():
    return TensorStore(Samples((IMAGES,), np.arange(20)))


@pytest.fixture
def masked():
    """Images whose masks hold the values of their first channel."""
    return TensorStore(Samples((IMAGES,), IMAGES[:, 0].copy()))


def batch_of(store, ids, changes=JITTER, epoch=0, seed=0):
    return PerSample(changes, seed, "data.augment")(store.batch(np.array(ids)), epoch)


def test_a_transform_sees_what_torchvision_would(store):
    flipped = batch_of(store, [3, 5], [v2.RandomHorizontalFlip(p=1.0), v2.Resize([4, 4])])
    for row, index in enumerate((3, 5)):
        expected = v2.functional.resize(v2.functional.horizontal_flip(torch.from_numpy(IMAGES[index])), [4, 4])
        assert torch.equal(flipped.inputs[0][row], expected)
    assert flipped.targets.tolist() == [3, 5]
    assert flipped.inputs[0].dtype == torch.uint8
    assert type(flipped.inputs[0]) is torch.Tensor


def test_what_is_drawn_depends_on_seed_epoch_and_sample_alone(store):
    alone = batch_of(store, [7]).inputs[0][0]
    assert torch.equal(batch_of(store, [2, 9, 7]).inputs[0][2], alone)
    assert not torch.equal(batch_of(store, [7], epoch=1).inputs[0][0], alone)
    assert not torch.equal(batch_of(store, [7], seed=1).inputs[0][0], alone)


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_that_are_kept_draw_what_belongs_to_the_epoch_from_any_batch_on(store, workers):
    changes = [PerSample(JITTER, 4, "data.augment")]
    batches = Batches(
        store, np.arange(20), 6, seed=4, order="random", workers=workers, persistent_workers=True, changes=changes
    )
    for epoch in (0, 1):
        got = list(batches.epoch(epoch))
        expected = [batch_of(store, batch.indices.numpy(), epoch=epoch, seed=4) for batch in got]
        assert all(torch.equal(one.inputs[0], other.inputs[0]) for one, other in zip(got, expected, strict=True))
    later = list(Batches(store, np.arange(20), 6, seed=4, order="random", changes=changes).epoch(1, start=2))
    assert torch.equal(later[0].inputs[0], got[2].inputs[0])


def test_generators_are_left_as_they_were(store):
    class Careless(v2.Transform):
        def transform(self, inpt, params):
            return inpt + int(random.random() * 9) + int(np.random.random() * 9) + int(torch.rand(()) * 9)

    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = batch_of(store, [1, 2], [Careless()])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    random.seed(5)
    assert torch.equal(batch_of(store, [1, 2], [Careless()]).inputs[0], first.inputs[0])


def test_masks_move_with_their_images(masked):
    moved = batch_of(masked, range(20), [v2.RandomCrop([5, 5]), v2.RandomVerticalFlip(), v2.RandomHorizontalFlip()])
    assert torch.equal(moved.inputs[0][:, 0], moved.targets)
    assert moved.targets.dtype == torch.uint8


def test_deep_images_are_floats_for_torchvision():
    store = TensorStore(Samples((np.full((1, 1, 4, 4), 13107, np.uint16),), np.array([0])))
    assert batch_of(store, [0], [v2.Resize([2, 2])]).inputs[0].unique().item() == pytest.approx(0.2)


def test_images_of_several_sizes_are_refused(store):
    class AnySize(v2.Transform):
        def transform(self, inpt, params):
            return inpt[..., : int(torch.randint(2, 8, ()))]

    with pytest.raises(UserError, match=r"data.augment gives images of several sizes"):
        batch_of(store, range(9), [AnySize()])


def test_a_transform_that_fails_is_named_with_the_shape(store):
    with pytest.raises(UserError, match=r"data.augment: RandomCrop fails for an image of shape \(3, 8, 8\)"):
        batch_of(store, [0], [v2.RandomCrop([9, 9])])


def test_rows_of_numbers_have_nothing_to_transform():
    store = TensorStore(Samples((np.zeros((2, 3), np.float32),), np.array([0, 1])))
    with pytest.raises(UserError, match=r"changes images, and the first input has none"):
        batch_of(store, [0])


def test_transforms_that_do_not_suit_are_refused_with_those_that_do():
    assert is_torchvision(v2.RandomHorizontalFlip())
    assert not is_torchvision(lambda images, masks, draw: (images, masks))
    with pytest.raises(UserError, match=r"_target_: torchvision.transforms.v2.RandomHorizontalFlip"):
        is_torchvision(transforms.RandomHorizontalFlip())
    with pytest.raises(UserError, match=r"fix: +data.normalize"):
        is_torchvision(v2.Normalize([0.5], [0.5]))


def test_a_collate_of_ones_own_is_called_as_dataloader_calls_it(store):
    def halved(samples):
        images = torch.stack([image for image, _ in samples])
        return images[:, :, :4], torch.tensor([int(target) + 100 for _, target in samples])

    batch = Collated(halved)(store.batch(np.array([4, 2])), 0)
    assert torch.equal(batch.inputs[0], torch.from_numpy(IMAGES[[4, 2], :, :4]))
    assert batch.targets.tolist() == [104, 102]
    assert batch.indices.tolist() == [4, 2]


def test_torchs_default_collate_changes_nothing(store):
    plain = store.batch(np.array([4, 2]))
    batch = Collated(torch.utils.data.default_collate)(plain, 0)
    assert torch.equal(batch.inputs[0], plain.inputs[0])
    assert torch.equal(batch.targets, plain.targets)


@pytest.mark.parametrize("made", [{"x": 1}, (torch.zeros(2),), (torch.zeros(3, 1), torch.zeros(3))])
def test_a_collate_that_gives_something_else_is_refused(made):
    batch = Batch((torch.zeros(2, 1),), torch.zeros(2), torch.arange(2))
    with pytest.raises(UserError, match=r"data.collate gave"):
        Collated(lambda samples: made)(batch, 0)
