import numpy as np
import pytest

from runner.data.sources.mask_folder import MaskFolder
from runner.errors import UserError

STRIPES = np.array([[0, 255, 255, 0]] * 2, np.uint8)


@pytest.fixture
def folder(write_image, tmp_path):
    """Pictures 0, 1, 10 of 2 x 4 pixels and brightness 0, 1, 10, with stripes of 0 and 255 as their masks."""
    for number in (0, 1, 10):
        write_image(f"image/{number}.png", value=number, size=(2, 4))
        write_image(f"label/{number}.png", STRIPES)
    return tmp_path


def source(folder, **settings):
    return MaskFolder(folder / "image", folder / "label", **settings)


def test_pictures_and_masks_of_the_same_name_belong_together(folder):
    samples = source(folder).read()
    assert samples.inputs[0][:, 0, 0, 0].tolist() == [0, 1, 10]
    assert samples.targets.tolist() == [[[0, 1, 1, 0]] * 2] * 3
    assert samples.names == ["0.png", "1.png", "10.png"]
    assert samples.groups is None


def test_extensions_may_differ(folder, write_image):
    write_image("image/x.jpg", size=(2, 4))
    write_image("label/x.png", STRIPES)
    assert len(source(folder).read()) == 4


def test_values_become_classes_in_the_order_given(folder):
    samples = source(folder, mask_values=[255, 0], class_names=["cell", "membrane"]).read()
    assert samples.targets[0].tolist() == [[1, 0, 0, 1]] * 2
    assert samples.class_names == ("cell", "membrane")


def test_without_an_order_the_values_of_all_masks_are_sorted(folder, write_image):
    write_image("label/1.png", np.full((2, 4), 128, np.uint8))
    assert source(folder).read().targets[:, 0].tolist() == [[0, 2, 2, 0], [1, 1, 1, 1], [0, 2, 2, 0]]


def test_a_value_that_is_not_in_the_order_is_refused_with_the_file(folder, write_image):
    write_image("label/1.png", np.full((2, 4), 128, np.uint8))
    with pytest.raises(
        UserError, match=r"image/1.png: its mask .*label/1.png has the values 128, mask_values are \[0, 255\]"
    ):
        source(folder, mask_values=[0, 255]).read()


def test_tiles_do_not_overlap_and_what_is_left_is_not_used(write_image, tmp_path):
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    write_image("image/a.png", pixels)
    write_image("label/a.png", pixels % 2 * 255)
    samples = source(tmp_path, tile=[2, 3]).read()
    assert samples.inputs[0][:, 0].tolist() == [
        [[0, 1, 2], [7, 8, 9]],
        [[3, 4, 5], [10, 11, 12]],
        [[14, 15, 16], [21, 22, 23]],
        [[17, 18, 19], [24, 25, 26]],
    ]
    assert (samples.targets == samples.inputs[0][:, 0] % 2).all()


def test_tiles_of_a_picture_are_one_group(folder):
    samples = source(folder, tile=[2, 2]).read()
    assert samples.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert samples.names == ["0.png", "0.png", "1.png", "1.png", "10.png", "10.png"]


def test_pictures_of_different_sizes_give_tiles_of_one_size(folder, write_image):
    write_image("image/x.png", size=(4, 4))
    write_image("label/x.png", np.vstack([STRIPES, STRIPES]))
    assert source(folder, tile=[2, 2]).read().groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]


def test_the_size_asked_for_is_that_of_a_sample(folder):
    samples = source(folder, tile=[2, 2]).read((4, 4))
    assert samples.inputs[0].shape == (6, 1, 4, 4)
    assert samples.targets[0].tolist() == [[0, 0, 1, 1]] * 4


def test_facts_come_from_settings_and_one_header(folder):
    facts = source(folder, mask_values=[0, 255]).facts()
    assert (facts.channels, facts.image_size, facts.num_classes) == (1, (2, 4), 2)
    assert source(folder, tile=[2, 2]).facts().image_size == (2, 2)
    assert source(folder).facts().num_classes is None


def test_a_mask_of_another_size_is_refused_with_both_files(folder, write_image):
    write_image("label/1.png", size=(3, 4))
    with pytest.raises(UserError, match=r"image/1.png: is 2 x 4 .*, its mask .*label/1.png 3 x 4"):
        source(folder).read()


def test_pictures_without_a_mask_and_masks_without_a_picture_are_named(folder, write_image):
    write_image("image/alone.png")
    write_image("label/lonely.png")
    with pytest.raises(UserError, match=r"alone.png has no mask in .*lonely.png has no picture"):
        source(folder).read()


def test_two_files_of_one_name_are_refused(folder, write_image):
    write_image("image/1.jpg")
    with pytest.raises(UserError, match=r"1.jpg and .*1.png have the same name"):
        source(folder).read()


def test_a_broken_mask_is_named(folder, write_file):
    mask = write_file("label/1.png", "no image")
    with pytest.raises(UserError, match=rf"image/1.png: its mask {mask} cannot be used"):
        source(folder).read()


def test_a_picture_smaller_than_a_tile_is_named(folder):
    with pytest.raises(UserError, match=r"3 of 3 .*\n.*0.png: is 2 x 4 .*, smaller than a tile of 4 x 4"):
        source(folder, tile=[4, 4]).read()


def test_an_empty_folder_is_refused(folder):
    for file in (folder / "label").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"the folder .*label has no images"):
        source(folder).read()


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"tile": [0, 4]}, "data.source.tile"),
        ({"mask_values": [0, 0]}, "data.source.mask_values"),
        ({"mask_values": []}, "data.source.mask_values"),
        ({"mask_values": [0, 255], "class_names": ["a"]}, "data.source.class_names"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder, wrong, problem):
    with pytest.raises(UserError, match=problem):
        source(folder, **wrong).check()


def test_a_picture_taken_for_a_mask_is_refused(folder, write_image):
    write_image("image/1.png", size=(16, 20))
    write_image("label/1.png", np.arange(320, dtype=np.uint16).reshape(16, 20))
    with pytest.raises(UserError, match=r"320 different values"):
        source(folder, tile=[2, 4]).read()
