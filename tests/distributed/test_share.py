"""How a batch is shared: every sample counts once, whoever works on it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runner.data.share import Share


@given(count=st.integers(1, 200), size=st.integers(1, 17))
def test_every_sample_counts_once_and_no_process_has_two_more_than_another(count: int, size: int) -> None:
    batch = np.random.default_rng(count).permutation(1000)[:count]
    shares = [Share(rank, size).of(batch) for rank in range(size)]
    counted = np.concatenate([ids[: part.num_own] for ids, part in shares])
    assert counted.tolist() == batch.tolist()
    assert {part.num_all for _, part in shares} == {count}
    assert {part.first for _, part in shares} == {batch[0]}
    assert all(len(ids) > 0 for ids, _ in shares), "every process has something to compute"
    if count >= size:
        lengths = [len(ids) for ids, _ in shares]
        assert max(lengths) - min(lengths) <= 1


@given(count=st.integers(2, 50), size=st.integers(2, 8))
def test_the_sample_in_front_comes_along_to_be_blended_with(count: int, size: int) -> None:
    batch = np.arange(100, 100 + count)
    for rank in range(size):
        ids, part = Share(rank, size).of(batch, with_lead=True)
        assert part.has_lead == (count >= size)
        if part.has_lead:
            assert len(ids) == part.num_own + 1
            assert ids[0] == batch[np.flatnonzero(batch == ids[1])[0] - 1]


def test_fewer_samples_than_processes_count_for_the_first_one_and_are_worked_on_by_all() -> None:
    shares = [Share(rank, 4).of(np.array([5, 8])) for rank in range(4)]
    assert [ids.tolist() for ids, _ in shares] == [[5, 8]] * 4
    assert [part.num_own for _, part in shares] == [2, 0, 0, 0]
