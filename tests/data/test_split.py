import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.source import Samples
from runner.data.split import split
from runner.errors import UserError


def lists(divided):
    return [indices.tolist() for indices in divided]


def masks(count, **others):
    """Samples without classes."""
    return Samples((np.zeros((count, 1, 2, 2), np.uint8),), np.zeros((count, 2, 2), np.uint8), **others)


@pytest.mark.parametrize("stratify", [True, False])
def test_folds_are_disjoint_and_of_one_size_and_cover_all_but_the_test(samples_of, stratify):
    classes = [0] * 30 + [1] * 20
    splits = [split(samples_of(classes), test=8, seed=3, stratify=stratify, folds=5, fold=n) for n in range(5)]
    assert {tuple(one.test) for one in splits} == {tuple(splits[0].test)}
    validated = np.concatenate([one.val for one in splits])
    assert sorted([*validated, *splits[0].test]) == list(range(50))
    for one in splits:
        assert sorted([*one.train, *one.val, *one.test]) == list(range(50))
        assert len(one.val) in (8, 9)


def test_stratified_folds_have_each_class_to_one_sample(samples_of):
    classes = np.array([0] * 31 + [1] * 12 + [2] * 7)
    for fold in range(5):
        counts = np.bincount(classes[split(samples_of(classes), test=0, folds=5, fold=fold).val])
        assert all(abs(count - total / 5) < 1 for count, total in zip(counts, (31, 12, 7), strict=True))


def test_folds_keep_groups_together_and_take_in_an_official_validation_part(samples_of):
    samples = samples_of([0] * 12, groups=np.repeat(np.arange(6), 2), official=np.array(["train"] * 8 + ["val"] * 4))
    folds = [split(samples, test=0, folds=3, fold=fold).val for fold in range(3)]
    assert sorted(np.concatenate(folds)) == list(range(12))
    assert all(len(fold) == 4 and set(fold[::2] + 1) == set(fold[1::2]) for fold in folds)


def test_more_folds_than_samples_are_refused(samples_of):
    with pytest.raises(UserError, match=r"data.folds=7, but there are 6 samples to divide"):
        split(samples_of([0] * 6), test=0, folds=7, fold=0)


def test_fractions_are_those_of_all_samples():
    assert [len(part) for part in split(masks(100), val=0.2, test=0.1)] == [70, 20, 10]


def test_counts_are_exact():
    assert [len(part) for part in split(masks(100), val=7, test=13)] == [80, 7, 13]


@settings(deadline=None)  # the first call starts up numpy or torch
@given(
    count=st.integers(10, 200),
    val=st.integers(0, 4) | st.floats(0, 0.4),
    test=st.integers(0, 4) | st.floats(0, 0.4),
    seed=st.integers(0, 2**40),
)
def test_every_sample_is_in_exactly_one_part_and_parts_are_ascending(count, val, test, seed):
    divided = split(masks(count), val, test, seed)
    assert sorted(np.concatenate(divided)) == list(range(count))
    assert all((np.diff(part) > 0).all() for part in divided)


def test_the_seed_decides_which_samples_are_drawn():
    assert lists(split(masks(100), seed=1)) == lists(split(masks(100), seed=1))
    assert lists(split(masks(100), seed=1)) != lists(split(masks(100), seed=2))


def test_what_is_drawn_never_changes():
    """A frozen configuration divides its data alike under every later version."""
    assert split(masks(20), val=3, test=3, seed=0).test.tolist() == [1, 9, 17]
    assert split(masks(20), val=3, test=3, seed=0).val.tolist() == [8, 10, 16]


def test_the_test_part_does_not_depend_on_the_size_of_the_others():
    few, many = split(masks(100), val=1, test=10), split(masks(100), val=50, test=10)
    assert few.test.tolist() == many.test.tolist()
    assert set(few.val) <= set(many.val)


def test_classes_are_shared_out_by_the_largest_remainder(samples_of):
    # 4 of 20: class 0 is due 2.2, class 1 1.0, class 2 0.8; the whole parts are 2, 1, 0, and 2 has the largest rest.
    samples = samples_of([0] * 11 + [1] * 5 + [2] * 4)
    divided = split(samples, val=0, test=4)
    assert np.bincount(samples.targets[divided.test]).tolist() == [2, 1, 1]


@settings(deadline=None)  # the first call starts up numpy or torch
@given(
    counts=st.lists(st.integers(8, 60), min_size=2, max_size=6), fraction=st.floats(0.15, 0.4), seed=st.integers(0, 9)
)
def test_no_class_is_off_its_share_by_a_whole_sample(counts, fraction, seed):
    classes = np.repeat(np.arange(len(counts)), counts)
    samples = Samples((np.zeros((len(classes), 1), np.float32),), classes)
    drawn = np.bincount(classes[split(samples, val=0, test=fraction, seed=seed).test])
    exact = drawn.sum() * np.array(counts) / len(classes)
    assert (np.abs(drawn - exact) < 1).all()


def test_stratifying_can_be_switched_off(samples_of):
    samples = samples_of([0, 1] * 50)
    shares = [np.mean(samples.targets[split(samples, 0, 30, seed, stratify=False).test]) for seed in range(20)]
    assert len(set(shares)) > 1
    assert {np.mean(samples.targets[split(samples, 0, 30, seed).test]) for seed in range(20)} == {0.5}


def test_the_official_test_part_is_the_test_part_whatever_size_is_asked_for(samples_of):
    samples = samples_of([0, 1] * 10, official=np.array(["train"] * 14 + ["test"] * 6))
    for test in (None, 0.15, 2):
        assert split(samples, val=2, test=test).test.tolist() == [14, 15, 16, 17, 18, 19]
    assert split(samples, val=0, test=0).test.tolist() == []


def test_validation_is_drawn_from_the_official_training_part(samples_of):
    samples = samples_of([0, 1] * 10, official=np.array(["test"] * 6 + ["train"] * 14))
    divided = split(samples, val=0.3, test=None)
    assert len(divided.val) == 4  # 0.3 of 14, to the nearest
    assert min(divided.val) >= 6
    assert min(divided.train) >= 6


def test_the_official_validation_part_is_used(samples_of):
    samples = samples_of([0, 1] * 5, official=np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 2))
    assert lists(split(samples)) == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
    assert lists(split(samples, val=0, test=0)) == [[0, 1, 2, 3, 4, 5], [], []]


def test_without_an_official_test_part_null_means_none():
    assert len(split(masks(10), val=0, test=None).test) == 0


def test_validation_may_be_on_the_test_part(samples_of):
    samples = samples_of([0, 1] * 5, official=np.array(["train"] * 6 + ["test"] * 4))
    assert lists(split(samples, val="test", test=None)) == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9], [6, 7, 8, 9]]
    with pytest.raises(UserError, match="there is no test part"):
        split(masks(10), val="test", test=0)


def test_groups_stay_together_and_counts_are_of_groups():
    groups = np.repeat(np.arange(30), 4)
    divided = split(masks(120, groups=groups), val=5, test=0)
    assert len(divided.val) == 20
    assert len(divided.train) == 100
    assert not set(groups[divided.val]) & set(groups[divided.train])


def test_fractions_of_groups_are_of_groups():
    groups = np.array([0] * 90 + list(range(1, 11)))
    divided = split(masks(100, groups=groups), val=0, test=3 / 11)
    assert len(np.unique(groups[divided.test])) == 3


def test_groups_need_not_be_in_order():
    groups = np.array([7, 3, 7, 3, 5, 5])
    divided = split(masks(6, groups=groups), val=1, test=1)
    assert sorted(len(part) for part in divided) == [2, 2, 2]
    assert all(len(set(groups[part])) == 1 for part in divided)


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (0, 10), (5, 5), (0.9, 3)])
def test_shares_that_leave_no_training_samples_are_refused(val, test):
    with pytest.raises(UserError, match="leaves no training samples"):
        split(masks(10), val, test)


@pytest.mark.parametrize("share", [-1, -0.1, 1.0, 1.5, True, "half", float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(UserError, match=r"data\.split\.test="):
        split(masks(10), test=share)
    with pytest.raises(UserError, match=r"data\.split\.val="):
        split(masks(10), val=share)
    with pytest.raises(UserError, match=r"data\.split\.val=None"):
        split(masks(10), val=None)


def test_a_class_that_a_part_lacks_is_named(samples_of):
    samples = samples_of([0] * 50 + [1], class_names=("cat", "dog"))
    with pytest.raises(UserError, match="test has no sample of class dog"):
        split(samples, val=0, test=5)


def test_a_class_that_no_part_has_is_named(samples_of):
    with pytest.raises(UserError, match="train has no sample of class ant; test has no sample of class ant"):
        split(samples_of([0, 1] * 10, class_names=("cat", "dog", "ant")), val=0, test=4)


def test_an_official_part_that_lacks_a_class_is_named(samples_of):
    samples = samples_of([0, 1, 2, 0, 1], official=np.array(["train"] * 3 + ["test"] * 2))
    with pytest.raises(UserError, match="test has no sample of class 2") as told:
        split(samples, val=0, test=None)
    assert "fix:      samples of the class there, or data.split.test=0 to leave the part out" in str(told.value)


def test_a_class_that_only_an_official_test_part_has_is_not_mended_by_shares(samples_of):
    samples = samples_of([0, 1, 0, 1, 2], official=np.array(["train"] * 2 + ["test"] * 3))
    with pytest.raises(UserError, match="train has no sample of class 2") as told:
        split(samples, val=0, test=None)
    assert "data.split" not in str(told.value)


def test_data_without_a_training_part_are_refused(samples_of):
    with pytest.raises(UserError, match="no training part"):
        split(samples_of([0, 1], official=np.array(["test", "test"])), val=0)


@pytest.mark.parametrize("samples", [masks(10), masks(10, groups=np.arange(10))])
def test_what_has_no_classes_cannot_be_stratified(samples):
    with pytest.raises(UserError, match=r"data\.split\.stratify=true, but"):
        split(samples, stratify=True)
