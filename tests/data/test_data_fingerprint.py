import os

import numpy as np

from runner.data.fingerprint import of_arrays, of_contents, of_listing, of_values


def test_the_order_of_values_does_not_count_but_each_value_does():
    assert of_values(seed=1, count=2) == of_values(count=2, seed=1) != of_values(seed=2, count=1)


def test_contents_count_and_neither_name_nor_time(tmp_path):
    first, copy, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    first.write_bytes(b"12")
    copy.write_bytes(b"12")
    other.write_bytes(b"13")
    os.utime(copy, (1, 1))
    assert of_contents([first]) == of_contents([copy]) != of_contents([other])


def test_contents_are_not_run_together(tmp_path):
    for name, text in {"a": "12", "b": "3", "c": "1", "d": "23"}.items():
        (tmp_path / name).write_text(text)
    assert of_contents([tmp_path / "a", tmp_path / "b"]) != of_contents([tmp_path / "c", tmp_path / "d"])


def test_a_listing_notices_size_time_and_name(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12")
    os.utime(file, (1, 1))
    digests = [of_listing([file], tmp_path)]
    os.utime(file, (2, 2))
    digests.append(of_listing([file], tmp_path))
    file.write_bytes(b"123")
    os.utime(file, (2, 2))
    digests.append(of_listing([file], tmp_path))
    file = file.rename(tmp_path / "b")
    digests.append(of_listing([file], tmp_path))
    file.unlink()
    digests.append(of_listing([file], tmp_path))
    assert len(set(digests)) == len(digests)


def test_a_listing_is_the_same_where_the_folder_lies_elsewhere(tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(b"12")
        os.utime(tmp_path / folder / "a", (1, 1))
    here, there = ([tmp_path / folder / "a"] for folder in ("here", "there"))
    assert of_listing(here, tmp_path / "here") == of_listing(there, tmp_path / "there")


def test_arrays_count_by_type_shape_and_values():
    values = np.arange(6, dtype=np.int16)
    different = [values, values.reshape(2, 3), values.astype(np.uint16), values[::-1]]
    assert len({of_arrays([array]) for array in different}) == 4
    assert of_arrays([values[::2]]) == of_arrays([values[::2].copy()])


def test_a_listing_takes_names_that_are_not_utf_8_and_those_that_no_file_can_have(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.png")
    file.write_bytes(b"12")
    there = of_listing([file], tmp_path)
    file.unlink()
    assert of_listing([file], tmp_path) != there
    assert of_listing(["a\0b"], tmp_path) == of_listing([str(tmp_path / "a\0b")], tmp_path)
