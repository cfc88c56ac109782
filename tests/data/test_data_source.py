import numpy as np
import pytest

from runner.data.source import Samples
from runner.errors import UserError

IMAGES = np.zeros((3, 1, 2, 2), np.uint8)
CLASSES = np.array([0, 1, 0])


def test_samples_with_as_many_rows_everywhere_are_accepted():
    features = np.zeros((3, 5), np.float32)
    samples = Samples((IMAGES, features), CLASSES, names=list("abc"), groups=np.array([0, 0, 1]))
    assert len(samples) == 3


def test_counts_that_do_not_agree_are_refused_with_all_counts():
    with pytest.raises(UserError, match="input 1 3, input 2 4, targets 3"):
        Samples((IMAGES, np.zeros((4, 5), np.float32)), CLASSES)


@pytest.mark.parametrize("field", ["names", "official", "groups"])
def test_counts_of_the_optional_fields_must_agree_too(field):
    with pytest.raises(UserError, match=f"{field} 2"):
        Samples((IMAGES,), CLASSES, **{field: np.array(["train", "test"])})


def test_no_samples_at_all_are_refused():
    with pytest.raises(UserError, match="not a single sample"):
        Samples((IMAGES[:0],), CLASSES[:0])


@pytest.mark.parametrize(
    "values", [IMAGES.astype(np.float64), IMAGES.astype(np.int32), IMAGES[:, 0], np.zeros((3, 5), np.float64)]
)
def test_inputs_of_another_shape_or_type_are_refused(values):
    with pytest.raises(UserError, match="input 1 has shape") as refusal:
        Samples((values,), CLASSES)
    assert "uint8 or uint16 or float32" in str(refusal.value)


@pytest.mark.parametrize(
    "targets", [CLASSES.astype(np.int32), np.zeros((3, 2, 2), np.int64), np.zeros((3, 2), np.int64)]
)
def test_targets_of_another_shape_or_type_are_refused(targets):
    with pytest.raises(UserError, match="the target has shape"):
        Samples((IMAGES,), targets)


def test_an_official_part_of_another_name_is_refused():
    with pytest.raises(UserError, match="part of another name"):
        Samples((IMAGES,), CLASSES, official=np.array(["train", "dev", "test"]))


def test_only_whole_numbers_one_a_sample_are_classes():
    assert Samples((IMAGES,), CLASSES).has_classes
    assert not Samples((IMAGES,), CLASSES.astype(np.float32)).has_classes
    assert not Samples((IMAGES,), np.zeros((3, 2, 2), np.uint8)).has_classes
