"""Targets of another kind than a task learns from are refused with the reason, before a model sees them."""

import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.losses import BinaryFocalLoss, DiceLoss, WeightedSum
from runner.training.targets import classes_without_samples, refuse_other_targets
from runner.training.tasks import make_task


@pytest.mark.parametrize(
    ("task", "outputs", "targets"),
    [
        ("classification", 3, torch.tensor([0, 2])),
        ("binary", 1, torch.tensor([0, 1])),
        ("binary", 1, torch.tensor([0.0, 1.0])),
        ("multilabel", 3, torch.zeros(2, 3)),
        ("regression", 1, torch.zeros(2)),
        ("regression", 1, torch.zeros(2, 1)),
        ("regression", 3, torch.zeros(2, 3)),
        ("segmentation", 3, torch.zeros(2, 4, 5, dtype=torch.uint8)),
    ],
)
def test_targets_of_the_task_are_taken(task, outputs, targets):
    make_task(task, outputs).check_targets(targets)


@pytest.mark.parametrize(
    ("task", "outputs", "targets", "problem", "fix"),
    [
        ("classification", 3, torch.zeros(2), "targets that are decimal numbers", "int(target) in the Dataset"),
        ("classification", 3, torch.zeros(2, 1), "targets of shape (1,)", "int(target) in the Dataset"),
        ("classification", 3, torch.zeros(2, 3), "targets of shape (3,)", None),
        ("multilabel", 3, torch.zeros(2, 4), "targets of shape (4,)", "data.num_classes=4"),
        ("regression", 1, torch.zeros(2, 4), "targets of shape (4,)", "data.num_values=4"),
        ("regression", 2, torch.zeros(2), "targets that are decimal numbers", "data.num_values=1"),
        ("segmentation", 3, torch.zeros(2), "targets that are decimal numbers", None),
    ],
)
def test_other_targets_are_refused(task, outputs, targets, problem, fix):
    with pytest.raises(UserError) as refusal:
        make_task(task, outputs).check_targets(targets)
    told = str(refusal.value).splitlines()
    assert told[0] == f"task={task} cannot learn from {problem}"
    assert told[2:] == ([f"  fix:      {fix}"] if fix else [])


VOID = 255 * torch.eye(3, dtype=torch.uint8)[None]
"""The mask of one sample: class 0, and a value that stands for none."""


@pytest.mark.parametrize(
    "loss_of",
    [
        lambda ignored: nn.CrossEntropyLoss(ignore_index=ignored),
        lambda ignored: DiceLoss(smooth=1.0, include_background=True, ignore_index=ignored),
        lambda ignored: WeightedSum(
            terms={"cross_entropy": {"loss": nn.CrossEntropyLoss(ignore_index=ignored), "weight": 1.0}}
        ),
    ],
)
def test_masks_with_a_value_that_is_no_class_are_refused_unless_the_loss_ignores_it(loss_of):
    refuse_other_targets(VOID, loss_of(255), 2)
    refuse_other_targets(VOID // 255, loss_of(-100), 2)
    with pytest.raises(UserError, match=r"the mask of sample 1 has the value 255, which is no class\n.*: 0 to 1"):
        refuse_other_targets(torch.cat([VOID // 255, VOID]), loss_of(-100), 2)


@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), BinaryFocalLoss(gamma=2.0, alpha=None)])
@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (torch.tensor([1, -1, 1, -1]), "sample 1 has the target -1; there are such in 1 more sample"),
        (torch.tensor([0.0, 0.5, 1.0, 1.5]), "sample 3 has the target 1.5"),
        (
            torch.tensor([[0, 1], [255, 0], [1, 255]], dtype=torch.uint8),
            "sample 1 has the target 255; there are such in 1 more",
        ),
    ],
)
def test_numbers_that_are_no_share_of_a_yes_are_refused_where_a_loss_takes_them_for_one(loss, targets, told):
    with pytest.raises(UserError, match=told):
        refuse_other_targets(targets, loss, 2)
    with pytest.raises(UserError, match=told):
        refuse_other_targets(targets, WeightedSum(terms={"one": {"weight": 1.0, "loss": loss}}), 2)
    refuse_other_targets(targets, nn.MSELoss(), 2)
    refuse_other_targets(torch.tensor([[0.0, 1.0], [0.25, 1.0]]), loss, 2)


def test_classes_without_a_sample_are_found_where_targets_are_classes():
    assert classes_without_samples(torch.tensor([1, 2, 4, 1, -1]), 6) == [0, 3, 5]
    assert classes_without_samples(torch.tensor([1.0, 2.0]), 3) == []
    assert classes_without_samples(torch.tensor([1, 2]), None) == []
