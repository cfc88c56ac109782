import numpy as np
import pytest

from runner.data.listed import numbers, sample_weights, subset_of
from runner.errors import UserError

POOL = np.array([0, 2, 3, 5, 7])
"""The training samples of eight."""


@pytest.mark.parametrize("text", ["3\n7\n0\n", "3, 7, 0", "3 7\n0\n"])
def test_numbers_of_a_text(write_file, text):
    assert numbers(str(write_file("n.txt", text)), "data.subset").tolist() == [3, 7, 0]


def test_numbers_of_numpy(tmp_path):
    np.save(tmp_path / "n.npy", np.array([0.5, 2]))
    assert numbers(str(tmp_path / "n.npy"), "data.sample_weights").tolist() == [0.5, 2]


@pytest.mark.parametrize("text", ["", "three\n"])
def test_a_file_of_something_else_is_refused(write_file, text):
    with pytest.raises(UserError, match=r"data.subset: .*n.txt (cannot be read as a list of numbers|holds)"):
        numbers(str(write_file("n.txt", text)), "data.subset")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data.subset: the file .*none.txt is not there"):
        numbers(str(tmp_path / "none.txt"), "data.subset")


def test_a_subset_keeps_its_order_and_takes_nothing_from_other_parts():
    assert subset_of(POOL, [7, 1, 0, 6, 3], 8).tolist() == [7, 0, 3]


@pytest.mark.parametrize(
    ("given", "told"),
    [([0, 8], r"lists 8\n.*0 to 7"), ([2, 3, 2], r"lists 2 more than once"), ([1, 4], r"none of its 2 samples")],
)
def test_a_subset_of_no_training_samples_or_of_none_at_all_is_refused(given, told):
    with pytest.raises(UserError, match=told):
        subset_of(POOL, given, 8)


def test_weights_are_one_for_each_sample():
    assert sample_weights([1, 0, 2.5], 3).tolist() == [1, 0, 2.5]
    with pytest.raises(UserError, match=r"has 2 numbers, and the data 3 samples"):
        sample_weights([1, 2], 3)
    with pytest.raises(UserError, match=r"sample 1 has -2.0"):
        sample_weights([1, -2], 2)


def test_an_array_file_that_is_empty_or_holds_several_arrays_is_refused(tmp_path):
    (tmp_path / "empty.npy").touch()
    with pytest.raises(UserError, match=r"data\.subset: .*empty\.npy cannot be read .*: it is empty"):
        numbers(str(tmp_path / "empty.npy"), "data.subset")
    np.savez(tmp_path / "a.npz", a=POOL)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(UserError, match=r"a\.npy cannot be read .*: it is an \.npz file"):
        numbers(str(tmp_path / "a.npy"), "data.subset")
