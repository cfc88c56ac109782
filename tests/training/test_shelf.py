"""Keeping small tensors for many steps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from runner.training.shelf import Shelf

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
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_small_ones_lie_next_to_each_other() -> None:
    shelf = Shelf()
    places = sorted(shelf.keep(torch.rand(10)).data_ptr() for _ in range(64))
    assert places == [places[0] + 40 * number for number in range(64)]


def test_a_large_one_is_not_copied() -> None:
    large = torch.rand(100, 100)
    assert Shelf().keep(large) is large


def test_a_view_across_the_rows_is_kept_as_it_looks() -> None:
    columns = torch.arange(12).reshape(3, 4).t()
    assert Shelf().keep(columns).tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]
