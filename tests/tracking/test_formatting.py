"""Numbers, durations and tables as a person reads them."""

import pytest

from runner.tracking.formatting import duration, number, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97, "0.9700"),
        (1.0, "1.000"),
        (0.0, "0.000"),
        (-0.123456, "-0.1235"),
        (12.3456, "12.35"),
        (999.94, "999.9"),
        (999.96, "1000"),
        (123456.7, "123457"),
        (1e6, "1.000e+06"),
        (0.00012344, "0.0001234"),
        (0.000099, "9.900e-05"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (7, "7"),
        (1234567, "1,234,567"),
    ],
)
def test_numbers_have_four_significant_digits_and_integers_all(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0123, "0.012 s"),
        (0.84, "0.84 s"),
        (0.996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3720, "1 h 02 min"),
        (86400 * 3 + 4 * 3600, "3 d 04 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds, text):
    assert duration(seconds) == text


def test_a_table_is_aligned_left_then_right():
    assert table(["", "loss", "accuracy"], [["train", "0.1", "0.9"], ["val", "12.25", "-"]]) == [
        "        loss  accuracy",
        "train    0.1       0.9",
        "val    12.25         -",
    ]


def test_a_table_without_rows_is_its_header():
    assert table(["a", "b"], []) == ["a  b"]
