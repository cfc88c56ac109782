import numpy as np
import pytest
import torch

from runner.data.sampler import EpochSampler
from runner.errors import UserError

IDS = np.array([3, 5, 7, 11, 13, 17, 19])


def batches(sampler):
    return [ids.tolist() for ids in sampler]


def test_sequential_batches_follow_the_ids_and_the_last_has_the_rest():
    sampler = EpochSampler(IDS, 3)
    assert batches(sampler) == [[3, 5, 7], [11, 13, 17], [19]]
    assert len(sampler) == 3


def test_the_rest_can_be_dropped():
    sampler = EpochSampler(IDS, 3, drop_last=True)
    assert batches(sampler) == [[3, 5, 7], [11, 13, 17]]
    assert len(sampler) == 2


def test_a_random_epoch_has_every_id_once():
    sampler = EpochSampler(IDS, 3, order="random")
    for epoch in range(5):
        sampler.set(epoch)
        assert sorted(number for batch in batches(sampler) for number in batch) == IDS.tolist()


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    def order(seed, epoch):
        sampler = EpochSampler(np.arange(100), 100, seed, "random")
        sampler.set(epoch)
        return tuple(batches(sampler)[0])

    assert order(1, 2) == order(1, 2)
    assert len({order(seed, epoch) for seed in range(5) for epoch in range(5)}) == 25


def test_the_order_never_changes():
    """A run that is resumed under a later version goes on with the batches that it had before."""
    sampler = EpochSampler(np.arange(8), 8, seed=0, order="random")
    assert batches(sampler) == [[2, 5, 4, 1, 0, 3, 7, 6]]


@pytest.mark.parametrize("start", range(5))
def test_an_epoch_can_be_entered_at_any_batch(start):
    sampler = EpochSampler(IDS, 3, order="random")
    sampler.set(4)
    whole = batches(sampler)
    sampler.set(4, start)
    assert batches(sampler) == whole[start:]


def test_an_iteration_that_has_begun_is_not_changed_by_set():
    sampler = EpochSampler(IDS, 3)
    iteration = iter(sampler)
    sampler.set(0, start=2)
    assert next(iteration).tolist() == [3, 5, 7]


def test_an_order_of_ones_own_may_repeat_and_leave_out():
    class Twice:
        """The first sample twice, whatever the generator says."""

        def __len__(self):
            return 2

        def __call__(self, generator):
            return torch.tensor([0, 0])

    sampler = EpochSampler(IDS, 2, order=Twice())
    assert batches(sampler) == [[3, 3]]
    assert len(sampler) == 1


def test_an_order_of_another_name_is_refused():
    with pytest.raises(UserError, match=r"data\.order=randon") as refusal:
        EpochSampler(IDS, 3, order="randon")
    assert "nearest:  random" in str(refusal.value)


def test_dropping_the_only_batch_is_refused():
    with pytest.raises(UserError, match="leaves no batch: 7 samples do not fill"):
        EpochSampler(IDS, 8, drop_last=True)
