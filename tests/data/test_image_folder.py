import os

import pytest

from runner.data.sources.image_folder import ImageFolder
from runner.errors import UserError


def levels(samples):
    return samples.inputs[0][:, 0, 0, 0].tolist()


def test_folders_are_the_classes_sorted(write_image, tmp_path):
    for name, value in {"dog/1.png": 1, "cat/2.png": 2, "cat/deep/3.jpg": 3}.items():
        write_image(name, value=value)
    samples = ImageFolder(tmp_path).read()
    assert samples.class_names == ("cat", "dog")
    assert samples.targets.tolist() == [0, 0, 1]
    assert levels(samples) == [2, 3, 1]
    assert samples.names == ["cat/2.png", "cat/deep/3.jpg", "dog/1.png"]
    assert samples.official is None


def test_folders_called_train_val_and_test_are_the_official_division(write_image, tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "val/b/1.png", "test/a/1.png", "notes/a/1.png"):
        write_image(name)
    samples = ImageFolder(tmp_path).read()
    assert samples.official.tolist() == ["train", "train", "val", "test"]
    assert samples.targets.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("val", ["valid", "validation", "Val"])
def test_other_names_of_the_parts_are_taken_as_they_are_meant(write_image, tmp_path, val):
    for name in ("Training/a/1.png", "Training/b/1.png", f"{val}/b/1.png", "testing/a/1.png"):
        write_image(name)
    samples = ImageFolder(tmp_path).read()
    assert samples.official.tolist() == ["train", "train", "val", "test"]
    assert samples.class_names == ("a", "b")


def test_two_folders_for_one_part_are_refused(write_image, tmp_path):
    for name in ("train/a/1.png", "val/a/1.png", "valid/a/1.png"):
        write_image(name)
    with pytest.raises(UserError, match=r"/val, .*/valid are both for val"):
        ImageFolder(tmp_path).check()


def test_classes_called_val_and_test_are_classes_where_there_is_no_train(write_image, tmp_path):
    write_image("test/1.png")
    write_image("val/1.png")
    assert ImageFolder(tmp_path).read().class_names == ("test", "val")


def test_a_class_that_one_part_lacks_keeps_its_number(write_image, tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/b/1.png"):
        write_image(name)
    assert ImageFolder(tmp_path).read().targets.tolist() == [0, 1, 1]


def test_facts_come_from_folder_names_and_one_header(write_image, write_file, tmp_path):
    write_image("cat/1.png", mode="RGB", size=(3, 5))
    write_file("dog/1.png", "nobody reads this")
    facts = ImageFolder(tmp_path).facts()
    assert (facts.channels, facts.image_size, facts.num_classes, facts.class_names) == (3, (3, 5), 2, ("cat", "dog"))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data.source.root: the folder .*nowhere is not there"):
        ImageFolder(tmp_path / "nowhere").check()


def test_a_folder_without_class_folders_is_refused(write_image, tmp_path):
    write_image("1.png")
    with pytest.raises(UserError, match=r"has no folders in it"):
        ImageFolder(tmp_path).check()


def test_an_empty_class_folder_is_refused_by_name(write_image, tmp_path):
    write_image("cat/1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(UserError, match=r"the folder .*dog has no images"):
        ImageFolder(tmp_path).read()


def test_a_broken_image_is_named(write_image, write_file, tmp_path):
    write_image("cat/1.png")
    write_file("dog/2.png", "no image")
    with pytest.raises(UserError, match=r"dog/2.png: is not an image"):
        ImageFolder(tmp_path).read()


def test_the_fingerprint_follows_the_files(write_image, tmp_path):
    file = write_image("cat/1.png")
    before = ImageFolder(tmp_path).fingerprint()
    assert ImageFolder(tmp_path).fingerprint() == before
    os.utime(file, (1, 1))
    assert ImageFolder(tmp_path).fingerprint() != before


def test_a_name_that_is_not_utf_8_is_like_any_other_and_told_in_characters(write_image, tmp_path):
    write_image(os.fsdecode(b"cat/caf\xe9.png"), value=10)
    source = ImageFolder(tmp_path)
    assert len(source.fingerprint()) == 64
    assert levels(source.read()) == [10]
    (tmp_path / "cat" / os.fsdecode(b"caf\xe9.png")).write_text("broken")
    with pytest.raises(UserError, match=r"cat/caf\\udce9\.png: is not an image that can be read"):
        ImageFolder(tmp_path).read(image_size=(4, 6))
