"""Keeping what a CUDA graph leaves for many steps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from runner.training.copies import copy_all
from runner.training.ring import Lent, Ring, joined, stacked

ROWS_OF = st.sampled_from(["ring", "another ring", "none"])


@given(st.lists(ROWS_OF, min_size=1, max_size=30), st.booleans())
def test_tensors_come_together_in_the_order_in_which_they_are_given(places: list[str], waits: bool) -> None:
    left = {name: torch.zeros(2, 3) for name in ("ring", "another ring")}
    rings = {name: Ring(4, [one]) for name, one in left.items()}
    given: list[torch.Tensor | Lent] = []
    expected = []
    for number, place in enumerate(places):
        one = torch.full((2, 3), float(number))
        if place in rings:
            copy_all(rings[place].leaving())
            left[place].copy_(one)
            one_or_lent = rings[place].newest()[0]
            if not waits:
                rings[place].settle()
            if places[number:].count(place) > 4:
                continue  # it will be written over
            given.append(one_or_lent)
        else:
            given.append(one)
        expected.append(one)
    assert torch.equal(joined(given), torch.cat(expected))
    assert torch.equal(stacked(given), torch.stack(expected))


def test_a_tensor_in_a_row_has_the_elements_of_the_row() -> None:
    lent = Ring(2, [torch.zeros(()), torch.arange(3)]).newest()[1]
    assert lent.tensor.tolist() == [0, 1, 2]
    assert lent.numel() == 3


def test_a_ring_keeps_the_last_results_in_as_many_rows_as_it_has() -> None:
    half, both = torch.zeros(()), torch.zeros(2, dtype=torch.int64)
    ring = Ring(3, [half, both])
    results = []
    for number in range(10):
        copy_all(ring.leaving())  # what a computation does that is done again
        half.fill_(number / 2)
        both.copy_(torch.tensor([number, -number]))
        results.append(ring.newest())
    for number in (7, 8, 9):
        assert [one.tensor.tolist() for one in results[number]] == [number / 2, [number, -number]]


def test_a_result_is_copied_once_and_before_somebody_sees_it() -> None:
    left = torch.tensor(1.0)
    ring = Ring(2, [left])
    lent = ring.newest()[0]
    assert lent.tensor.item() == 1.0
    left.fill_(2.0)
    assert lent.tensor.item() == 1.0
    assert ring.leaving() == []


def test_a_single_row_is_the_memory_of_the_computation_itself() -> None:
    left = torch.tensor([1.0, 2.0])
    ring = Ring(1, [left])
    assert ring.newest()[0].tensor.data_ptr() == left.data_ptr()
    assert ring.leaving() == []
