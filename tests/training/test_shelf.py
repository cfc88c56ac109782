"""Keeping tensors for many steps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from runner.training.shelf import ROWS, Kept, Ring, Shelf, joined, stacked

SHAPES = st.sampled_from([(), (1,), (4, 3), (0, 3)])
DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.int64])


@given(st.lists(st.tuples(SHAPES, DTYPES), max_size=200))
def test_what_is_kept_stays_as_it_was_whatever_comes_after_it(kinds: list[tuple[tuple[int, ...], torch.dtype]]) -> None:
    shelf = Shelf()
    given = [torch.full(shape, number).to(dtype) for number, (shape, dtype) in enumerate(kinds)]
    before = [one.clone() for one in given]
    kept = [shelf.keep(one) for one in given]
    for one in given:
        one.fill_(-1)
    for one, other in zip(kept, before, strict=True):
        assert one.tensor.dtype == other.dtype
        assert torch.equal(one.tensor, other)


def test_small_ones_lie_next_to_each_other() -> None:
    shelf = Shelf()
    places = sorted(shelf.keep(torch.rand(10)).tensor.data_ptr() for _ in range(64))
    assert places == [places[0] + 40 * number for number in range(64)]


def test_a_large_one_is_not_copied() -> None:
    large = torch.rand(100, 100)
    assert Shelf().keep(large).tensor.data_ptr() == large.data_ptr()


def test_a_view_across_the_rows_is_kept_as_it_looks() -> None:
    columns = torch.arange(12).reshape(3, 4).t()
    assert Shelf().keep(columns).tensor.tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]


def test_what_lies_on_a_shelf_is_not_kept_again() -> None:
    kept = Kept(torch.arange(6).reshape(2, 3), 1)
    assert Shelf().keep(kept) is kept
    assert kept.elements == 3


@given(st.lists(st.tuples(st.sampled_from([1, 2, 200]), st.booleans()), min_size=1, max_size=200))
def test_tensors_come_together_in_the_order_in_which_they_were_kept(kinds: list[tuple[int, bool]]) -> None:
    """Some in between are kept elsewhere, are of other sizes, or large."""
    shelf, given = Shelf(), []
    kept = []
    for number, (size, is_skipped) in enumerate(kinds):
        one = torch.full((size, 60), number)
        place = shelf.keep(one)
        if not is_skipped:
            given.append(one)
            kept.append(place)
    if kept:
        assert torch.equal(joined(kept), torch.cat(given))
    same = [one for one in kept if one.tensor.shape == (2, 60)]
    if same:
        assert torch.equal(stacked(same), torch.stack([one for one in given if one.shape == (2, 60)]))


def test_rows_that_follow_each_other_come_together_without_a_copy() -> None:
    shelf = Shelf()
    kept = [shelf.keep(torch.full((3,), number)) for number in range(ROWS)]
    assert stacked(kept[5:9]).data_ptr() == kept[5].tensor.data_ptr()


def test_a_ring_keeps_the_last_results_and_gives_each_once() -> None:
    ring = Ring(3, (torch.zeros(()), torch.zeros(2, dtype=torch.int64)))
    for number in range(10):
        ring.write((torch.tensor(number / 2), torch.tensor([number, -number])))
        half, both = ring.newest()
        assert half.tensor.item() == number / 2
        assert both.tensor.tolist() == [number, -number]
    before, newest = torch.tensor(4.5), half
    ring.write((torch.tensor(7.0), torch.tensor([7, 7])))
    ring.write((torch.tensor(8.0), torch.tensor([8, 8])))
    assert torch.equal(newest.tensor, before), "two are after it, and there are three rows"
    assert [ring.newest()[0].tensor.item() for _ in range(2)] == [7, 8]
    ring.restart()
    ring.write((torch.tensor(9.0), torch.tensor([9, 9])))
    assert ring.newest()[0].tensor.item() == 9
