import pytest

from runner.data.labels import number_classes, read_labels
from runner.errors import UserError


def test_whole_numbers_are_the_classes_as_they_stand():
    classes = number_classes(["2", "0", " 1 ", "2.0"])
    assert classes.targets.tolist() == [2, 0, 1, 2]
    assert classes.names == ()
    assert classes.num_classes == 3
    assert not classes.problems


def test_names_are_sorted_and_numbered():
    classes = number_classes(["dog", "cat", "dog", "ant"])
    assert classes.names == ("ant", "cat", "dog")
    assert classes.targets.tolist() == [2, 1, 2, 0]
    assert classes.num_classes == 3


def test_a_word_among_numbers_is_no_number():
    classes = number_classes(["0", "1", "dog", ""])
    assert classes.problems == {2: "the label 'dog' is no number", 3: "it has no label"}


def test_a_number_among_words_is_a_name():
    assert number_classes(["3", "cat", "dog"]).names == ("3", "cat", "dog")


def test_a_number_that_is_negative_or_not_whole_is_no_class():
    problems = number_classes(["0", "-1", "0.5"]).problems
    assert problems[1] == "the label -1 is no class, which is a whole number from 0"
    assert list(problems) == [1, 2]


def test_a_missing_name_is_a_mistake():
    assert number_classes(["cat", ""]).problems == {1: "it has no label"}


def test_a_given_order_numbers_names_and_numbers_alike():
    assert number_classes(["dog", "cat"], order=["dog", "cat"]).targets.tolist() == [0, 1]
    assert number_classes(["7", "3"], order=["3", "7"]).targets.tolist() == [1, 0]
    assert number_classes(["7", "4"], order=["3", "7"]).problems == {1: "the label '4' is none of 3, 7"}


def test_numbers_far_above_the_number_of_samples_are_no_classes():
    with pytest.raises(UserError, match=r"label_column=id: the largest label of 3 samples is 20230002"):
        read_labels([["20230000"], ["20230002"], ["7"]], "classification", ["id"], "data.source.label_column")
    with pytest.raises(UserError, match=r"the largest label of 2 samples is 100000000000000000000"):
        number_classes(["0", str(10**20)])
    assert number_classes(["0", "9999"]).num_classes == 10_000


def test_large_numbers_whose_order_is_given_are_classes():
    labels = read_labels([["20230002"]], "classification", ["id"], "key", ["20230000", "20230002"])
    assert labels.targets.tolist() == [1]
    assert labels.num_classes == 2
