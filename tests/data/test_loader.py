import random

import numpy as np
import pytest
import torch

from runner.data.loader import Batch, Batches, TensorStore
from runner.data.source import Samples

COUNT = 50
WORKERS = [0, 1, pytest.param(3, marks=pytest.mark.filterwarnings("ignore:This DataLoader will create"))]


@pytest.fixture(scope="module")
def store():
    """Samples whose image, features and class all tell their number."""
    numbers = np.arange(COUNT)
    images = np.broadcast_to(numbers[:, None, None, None], (COUNT, 1, 4, 4)).astype(np.uint8)
    features = numbers[:, None].astype(np.float32)
    return TensorStore(Samples((images, features), numbers.astype(np.int64)))


def ids(batches):
    return [batch.indices.tolist() for batch in batches]


def test_a_batch_holds_its_samples_in_the_types_of_the_store(store):
    batch = next(Batches(store, np.array([4, 8, 15]), 3).epoch(0))
    assert isinstance(batch, Batch)
    images, features = batch.inputs
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == features[:, 0].tolist() == batch.targets.tolist() == [4, 8, 15]
    assert batch.indices.dtype == torch.int64


def test_the_store_shares_the_memory_of_the_samples():
    images = np.zeros((2, 1, 2, 2), np.uint8)
    store = TensorStore(Samples((images,), np.array([0, 1])))
    images[1] = 7
    assert store.inputs[0][1].unique().item() == 7


def test_arrays_that_must_not_be_written_are_copied():
    images = np.zeros((2, 1, 2, 2), np.uint8)
    images.flags.writeable = False
    store = TensorStore(Samples((images,), np.array([0, 1])))
    store.inputs[0][0] = 1
    assert images.sum() == 0


def test_16_bit_images_are_gathered():
    images = np.full((2, 1, 2, 2), 65535, np.uint16)
    batch = next(Batches(TensorStore(Samples((images,), np.array([0, 1]))), np.arange(2), 2).epoch(0))
    assert batch.inputs[0].dtype == torch.uint16
    assert batch.inputs[0].int().min() == 65535


def test_changing_a_batch_does_not_change_the_store(store):
    batch = next(Batches(store, np.arange(4), 4).epoch(0))
    batch.inputs[0].fill_(255)
    assert store.inputs[0][1].unique().item() == 1


def test_an_evaluation_covers_every_sample_once_in_order(store):
    batches = Batches(store, np.arange(10, 30), 8)
    assert [number for batch in ids(batches.epoch(0)) for number in batch] == list(range(10, 30))
    assert len(batches) == 3


@pytest.mark.parametrize("workers", WORKERS)
def test_the_number_of_workers_changes_nothing(store, workers):
    here = Batches(store, np.arange(COUNT), 8, seed=1, order="random")
    there = Batches(store, np.arange(COUNT), 8, seed=1, order="random", workers=workers)
    for epoch in (0, 1):
        for expected, batch in zip(here.epoch(epoch), there.epoch(epoch), strict=True):
            assert torch.equal(expected.inputs[0], batch.inputs[0])
            assert torch.equal(expected.indices, batch.indices)


@pytest.mark.parametrize("workers", [0, 1])
def test_going_on_from_batch_k_yields_the_rest_of_the_epoch(store, workers):
    batches = Batches(store, np.arange(COUNT), 8, order="random", workers=workers)
    whole = ids(batches.epoch(3))
    for start in (0, 2, len(batches)):
        assert ids(batches.epoch(3, start)) == whole[start:]


def test_the_batches_before_are_not_loaded(store, monkeypatch):
    loaded = []
    gather = TensorStore.batch
    monkeypatch.setattr(TensorStore, "batch", lambda self, rows: loaded.append(len(rows)) or gather(self, rows))
    list(Batches(store, np.arange(COUNT), 8).epoch(0, start=5))
    assert loaded == [8, 2]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_can_be_abandoned_half_way(store, workers, persistent):
    batches = Batches(store, np.arange(COUNT), 8, order="random", workers=workers, persistent_workers=persistent)
    expected = [ids(batches.epoch(epoch)) for epoch in range(3)]
    for epoch in (1, 2, 0):
        abandoned = batches.epoch(epoch)
        assert next(abandoned).indices.tolist() == expected[epoch][0]
    assert ids(batches.epoch(2)) == expected[2]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_generators_are_neither_read_nor_advanced(store, workers):
    def state():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    torch.manual_seed(0)
    before = state()
    first = ids(Batches(store, np.arange(COUNT), 8, order="random", workers=workers).epoch(0))
    assert state() == before
    torch.manual_seed(1)
    assert ids(Batches(store, np.arange(COUNT), 8, order="random", workers=workers).epoch(0)) == first


def test_settings_for_workers_mean_nothing_without_workers(store):
    batches = Batches(
        store, np.arange(4), 2, workers=0, prefetch_factor=3, persistent_workers=True, timeout=5, pin_memory=True
    )
    assert ids(batches.epoch(0)) == [[0, 1], [2, 3]]


def test_all_settings_for_workers_are_accepted_with_workers(store):
    batches = Batches(store, np.arange(4), 2, workers=1, prefetch_factor=3, persistent_workers=True, timeout=60)
    assert ids(batches.epoch(0)) == ids(batches.epoch(1)) == [[0, 1], [2, 3]]


def test_the_first_samples_can_be_had_without_an_epoch(store):
    assert Batches(store, np.array([9, 3, 4]), 1, order="random").first(2).targets.tolist() == [9, 3]
