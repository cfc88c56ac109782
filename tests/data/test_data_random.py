import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.random import Draws, fold, uniforms

MANY = torch.arange(20_000)


def splitmix64(state):
    """The published generator's output for one state, on Python's integers."""
    word = 2**64
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % word
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % word
    return state ^ (state >> 31)


def test_the_published_first_numbers_of_seed_0_come_out():
    # Vigna's splitmix64.c, seed 0: its first two outputs.
    assert [splitmix64(0x9E3779B97F4A7C15 * step % 2**64) for step in (1, 2)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
    ]
    assert fold(0) == 0xE220A8397B1DCDAF


@settings(deadline=None)  # the first call starts up numpy or torch
@given(
    seed=st.integers(-(2**63), 2**64),
    epoch=st.integers(0, 10**6),
    index=st.integers(0, 2**47 - 1),
    position=st.integers(0, 2**16 - 1),
)
def test_a_number_is_the_generators_output_at_its_own_counter(seed, epoch, index, position):
    state = (fold(seed, epoch) + (index * 2**16 + position) * 0x9E3779B97F4A7C15) % 2**64
    expected = (splitmix64(state) >> 40) / 2**24
    assert uniforms(seed, epoch, torch.tensor([index]), 1, offset=position).item() == expected


@settings(deadline=None)  # the first call starts up numpy or torch
@given(indices=st.lists(st.integers(0, 10**9), min_size=1, max_size=20), order=st.randoms(use_true_random=False))
def test_permuting_the_batch_permutes_the_numbers(indices, order):
    permutation = list(range(len(indices)))
    order.shuffle(permutation)
    batch = torch.tensor(indices)
    assert torch.equal(uniforms(3, 5, batch, 4)[permutation], uniforms(3, 5, batch[permutation], 4))


def test_a_sample_has_the_same_numbers_alone_and_in_a_batch():
    assert torch.equal(uniforms(0, 0, MANY, 3)[17:18], uniforms(0, 0, torch.tensor([17]), 3))


def test_more_numbers_begin_with_the_fewer():
    assert torch.equal(uniforms(0, 0, MANY, 5)[:, :2], uniforms(0, 0, MANY, 2))
    assert torch.equal(uniforms(0, 0, MANY, 5)[:, 2:], uniforms(0, 0, MANY, 3, offset=2))


def test_draws_hand_out_every_number_once():
    draw = Draws(1, 2, MANY)
    assert torch.equal(torch.cat([draw(2), draw(1)], dim=1), uniforms(1, 2, MANY, 3))


def test_numbers_are_multiples_of_2_to_the_minus_24_from_0_to_below_1():
    numbers = uniforms(0, 0, MANY, 10)
    assert numbers.dtype == torch.float32
    assert 0 <= numbers.min() < 1e-4
    assert 1 - 1e-4 < numbers.max() < 1
    assert torch.equal(numbers * 2**24, (numbers * 2**24).round())


@pytest.mark.parametrize("seed", [0, 1, 2**31, -1])
def test_numbers_are_uniform(seed):
    numbers = uniforms(seed, 0, MANY, 10).double()
    deviation = (1 / 12 / numbers.numel()) ** 0.5
    assert abs(numbers.mean() - 0.5) < 4 * deviation
    assert abs(numbers.var() - 1 / 12) < 4 * (1 / 180 / numbers.numel()) ** 0.5
    shares = torch.histc(numbers, 64, 0, 1)
    chi_squared = ((shares - shares.mean()) ** 2 / shares.mean()).sum()
    assert chi_squared < 63 + 4 * (2 * 63) ** 0.5


def correlation(first, second):
    return np.corrcoef(first.double().flatten(), second.double().flatten())[0, 1]


@pytest.mark.parametrize("distance", [1, 2, 64, 4096])
def test_neighbouring_samples_are_not_correlated(distance):
    numbers = uniforms(0, 0, MANY, 4)
    assert abs(correlation(numbers[:-distance], numbers[distance:])) < 4 / numbers.numel() ** 0.5


def test_numbers_of_one_sample_are_not_correlated():
    numbers = uniforms(0, 0, MANY, 8)
    for first in range(8):
        for second in range(first):
            assert abs(correlation(numbers[:, first], numbers[:, second])) < 4.5 / len(MANY) ** 0.5


def test_neighbouring_epochs_and_seeds_are_not_correlated():
    here = uniforms(0, 0, MANY, 4)
    for other in (uniforms(0, 1, MANY, 4), uniforms(1, 0, MANY, 4), uniforms(1, 1, MANY, 4)):
        assert abs(correlation(here, other)) < 4 / here.numel() ** 0.5


def test_seed_and_epoch_are_not_interchangeable():
    assert fold(1, 2) != fold(2, 1)
    assert len({fold(seed, epoch) for seed in range(50) for epoch in range(50)}) == 2500


def test_the_global_generators_are_left_alone():
    before = torch.get_rng_state()
    uniforms(0, 0, MANY, 4)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_numbers():
    assert torch.equal(uniforms(7, 3, MANY.cuda(), 4).cpu(), uniforms(7, 3, MANY, 4))
