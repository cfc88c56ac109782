from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.data.files import decode_all, header_of, images_below, report, stack
from runner.data.lazy import images_of
from runner.errors import UserError


def ignore(done, total):
    pass


def read(files, size=None):
    return images_of(files, [file.name for file in files], Path(), 1, size).gather(np.arange(len(files)))


def test_images_are_found_in_folders_below_sorted_and_hidden_ones_not(write_image, write_file, tmp_path):
    for name in ("b/2.png", "b/10.PNG", "a.jpg", ".hidden.png", ".hidden/1.png"):
        write_image(name)
    write_file("notes.txt", "no image")
    assert [str(path.relative_to(tmp_path)) for path in images_below(tmp_path)] == ["a.jpg", "b/10.PNG", "b/2.png"]


def test_results_come_in_order_and_progress_is_told():
    told = []
    decoded = decode_all(list("abcd"), lambda index: 10 * index, lambda *step: told.append(step))
    assert decoded == [0, 10, 20, 30]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_all_broken_files_are_counted_and_the_first_five_named(write_image, write_file):
    good = write_image("good.png")
    broken = [write_file(f"broken{number}.png", "no image") for number in range(7)]
    files = [good, *broken]
    with pytest.raises(UserError, match=r"7 of 8 samples cannot be used") as refusal:
        read(files)
    message = str(refusal.value)
    assert "broken0.png: is not an image that can be read" in message
    assert "broken4.png" in message
    assert "broken5.png" not in message
    assert "... and 2 more" in message


def test_one_broken_file_takes_one_line():
    with pytest.raises(UserError) as refusal:
        report([("a.png", "is not there")], 100)
    assert str(refusal.value) == "a.png: is not there"


def test_a_file_that_is_cut_short_is_broken(write_image):
    path = write_image("cut.png", np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"cut\.png: cannot be read"):
        read([path])


def test_images_of_two_sizes_are_refused_with_both_files_unless_a_size_is_given(write_image):
    files = [write_image("a.png", size=(4, 6)), write_image("b.png", size=(5, 6))]
    with pytest.raises(UserError, match=r"a.png is 1 x 4 x 6 .*, but b.png is 1 x 5 x 6") as refusal:
        read(files)
    assert "data.image_size=[4,6]" in str(refusal.value)
    assert read(files, (3, 3)).shape == (2, 1, 3, 3)


def test_images_of_two_depths_are_refused():
    with pytest.raises(UserError, match=r"a is uint8, but b is uint16"):
        stack([np.zeros(2, np.uint8), np.zeros(2, np.uint16)], ["a", "b"])


def test_the_header_is_that_of_the_first_file_that_can_be_read(write_image, write_file):
    files = [write_file("0.png", "broken"), write_image("1.png", size=(2, 3), mode="RGB")]
    assert header_of(files, "auto") == (3, (2, 3))
    assert header_of(files, 1) == (1, (2, 3))
    with pytest.raises(UserError, match=r"no image can be read.*0\.png"):
        header_of(files[:1], "auto")


def test_an_image_that_is_too_large_is_told_and_not_taken_for_a_fault(write_image, monkeypatch):
    file = write_image("a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match=r"no image can be read; the last one tried is .*a\.png: is too large: "):
        header_of([file], "auto")


def test_running_out_of_memory_is_not_blamed_on_a_file():
    def decode(index):
        raise MemoryError

    with pytest.raises(MemoryError):
        decode_all(["a"], decode, ignore)
