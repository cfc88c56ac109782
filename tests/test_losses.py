"""Losses that torch does not have."""

import math

import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.losses import BinaryFocalLoss, DiceLoss, FocalLoss, WeightedSum


@pytest.fixture(autouse=True)
def same_numbers_every_time():
    torch.manual_seed(0)


CERTAIN = 200.0  # a logit whose probability is 1 to the last bit


def make_dice(**changes):
    return DiceLoss(**{"smooth": 1.0, "include_background": True, "ignore_index": -100, **changes})


def certain(classes, num_classes):
    """Logits (N, K, ...) of a model that is sure of these classes (N, ...)."""
    return CERTAIN * nn.functional.one_hot(classes, num_classes).movedim(-1, 1).float()


def test_undecided_probabilities_give_the_dice_of_the_formula():
    logits = torch.zeros(1, 2, 1, 4)  # probability 1/2 everywhere
    targets = torch.tensor([[[0, 1, 1, 1]]])
    background = (2 * 0.5 + 1) / (2 + 1 + 1)
    foreground = (2 * 1.5 + 1) / (2 + 3 + 1)
    assert make_dice()(logits, targets).item() == pytest.approx(1 - (background + foreground) / 2)
    assert make_dice(include_background=False)(logits, targets).item() == pytest.approx(1 - foreground)
    smoother = (2 * 0.5 + 3) / (2 + 1 + 3), (2 * 1.5 + 3) / (2 + 3 + 3)
    assert make_dice(smooth=3.0)(logits, targets).item() == pytest.approx(1 - sum(smoother) / 2)


def test_the_true_mask_costs_nothing():
    targets = torch.tensor([[[0, 1], [2, 1]]])
    assert make_dice()(certain(targets, 3), targets).item() == 0


def test_a_mask_without_overlap_costs_all_but_the_smoothing():
    targets = torch.zeros(1, 2, 2, dtype=torch.int64)
    loss = make_dice()(certain(targets + 1, 2), targets)
    assert loss.item() == pytest.approx(1 - 1 / (4 + 1))  # 4 pixels of either class, none of both


def test_a_class_that_is_neither_there_nor_predicted_is_a_hit():
    targets = torch.zeros(1, 2, 2, dtype=torch.int64)
    assert make_dice(smooth=0.001)(certain(targets, 3), targets).item() == 0


def test_ignored_pixels_change_nothing():
    logits = torch.randn(2, 3, 4, 5)
    targets = torch.randint(3, (2, 4, 5))
    wider = torch.cat([logits, torch.randn(2, 3, 4, 2)], dim=3)
    for ignored in (255, 1):
        kept = targets.where(targets != ignored, 0)
        with_ignored = torch.cat([kept, torch.full((2, 4, 2), ignored)], dim=2)
        loss = make_dice(ignore_index=ignored)
        torch.testing.assert_close(loss(wider, with_ignored), make_dice()(logits, kept))


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_samples():
    logits, targets = torch.randn(5, 3, 6, 6), torch.randint(3, (5, 6, 6))
    each = [make_dice()(logits[i : i + 1], targets[i : i + 1]) for i in range(5)]
    torch.testing.assert_close(make_dice()(logits, targets), torch.stack(each).mean())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_a_single_logit_is_the_foreground_by_its_sigmoid(dtype):
    logits = torch.tensor([[[[0.0, math.log(3.0)], [0.0, CERTAIN]]]])  # 1/2, 3/4, 1/2, 1
    targets = torch.tensor([[[0, 1], [1, 1]]], dtype=dtype)
    expected = 1 - (2 * (0.75 + 0.5 + 1) + 1) / (2.75 + 3 + 1)
    for include_background in (True, False):
        loss = make_dice(include_background=include_background)
        assert loss(logits, targets).item() == pytest.approx(expected)
        assert loss(logits, targets[:, None]).item() == pytest.approx(expected)  # the shape that loss=bce wants


def test_targets_of_any_integer_type_give_the_same_loss():
    logits, targets = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    losses = {make_dice()(logits, targets.to(dtype)).item() for dtype in (torch.uint8, torch.int32, torch.int64)}
    assert len(losses) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_on_large_masks(dtype):
    targets = torch.ones(1, 300, 300, dtype=torch.uint8)  # 90,000 pixels: above 65,504, the largest float16
    loss = make_dice()(certain(targets.long(), 2).to(dtype), targets)
    assert loss.dtype == torch.float32
    assert loss.item() == 0


def test_volumes_and_lines_are_masks_too():
    for shape in [(7,), (2, 3, 4)]:
        targets = torch.randint(2, (2, *shape))
        assert make_dice()(certain(targets, 2), targets).item() == 0


def test_the_gradient_is_that_of_finite_differences():
    logits = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(3, (2, 2, 3))
    assert torch.autograd.gradcheck(lambda raw: make_dice()(raw, targets), logits)


def test_a_weighted_sum_adds_each_loss_times_its_weight():
    loss = WeightedSum(
        terms={"squared": {"weight": 2.0, "loss": nn.MSELoss()}, "absolute": {"weight": 0.5, "loss": nn.L1Loss()}}
    )
    assert loss(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).item() == 2.0 * (1 + 9) / 2 + 0.5 * (1 + 3) / 2


@pytest.mark.parametrize(
    ("reduction", "told"),
    [
        (lambda values: values, r"loss.terms.own: it gives a tensor of shape \(2,\)\n"),
        (lambda values: None, "loss.terms.own: it gives None\n"),
        (lambda values: values.mean().item(), "loss.terms.own: it gives a float\n"),
    ],
)
def test_a_part_of_a_sum_that_gives_no_number_is_refused_by_its_name(reduction, told):
    class Own(nn.Module):
        def forward(self, logits, targets):
            return reduction(nn.functional.cross_entropy(logits, targets, reduction="none"))

    terms = {
        "cross_entropy": {"weight": 1.0, "loss": nn.CrossEntropyLoss()},
        "own": {"weight": 0.5, "loss": Own()},
    }
    with pytest.raises(UserError, match=told):
        WeightedSum(terms=terms)(torch.zeros(2, 3), torch.tensor([0, 1]))


def test_a_weighted_sum_takes_its_losses_along_when_it_moves():
    class_weights = torch.tensor([1.0, 3.0])
    loss = WeightedSum(terms={"cross_entropy": {"weight": 1.0, "loss": nn.CrossEntropyLoss(weight=class_weights)}})
    moved = loss.to("meta")
    assert moved.losses["cross_entropy"].weight.device.type == "meta"


# --- focal loss -------------------------------------------------------------------------------------------------------


def make_focal(**changes):
    return FocalLoss(**{"gamma": 2.0, "weight": None, "ignore_index": -100, **changes})


def test_the_focal_loss_of_two_samples_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])  # 1/4 and 3/4, 1/2 and 1/2
    targets = torch.tensor([1, 0])
    expected = [(1 / 4) ** 2 * -math.log(3 / 4), (1 / 2) ** 2 * -math.log(1 / 2)]
    assert make_focal()(logits, targets).item() == pytest.approx(sum(expected) / 2)
    weighted = make_focal(weight=torch.tensor([3.0, 0.5]))
    assert weighted(logits, targets).item() == pytest.approx((0.5 * expected[0] + 3 * expected[1]) / 2)


def test_without_focus_the_focal_loss_is_cross_entropy():
    logits, targets = torch.randn(4, 3, 5, 6), torch.randint(3, (4, 5, 6))
    targets[0, :2] = 255
    expected = nn.functional.cross_entropy(logits, targets, ignore_index=255)
    torch.testing.assert_close(make_focal(gamma=0.0, ignore_index=255)(logits, targets), expected)
    rows, shares = torch.randn(5, 3), torch.rand(5, 3).softmax(1)
    torch.testing.assert_close(make_focal(gamma=0.0)(rows, shares), nn.functional.cross_entropy(rows, shares))


def test_shares_of_classes_add_up_the_focal_losses_of_the_classes():
    logits, shares = torch.randn(5, 3), torch.rand(5, 3).softmax(1)
    each = [nn.functional.one_hot(torch.full((5,), k), 3).float() * shares[:, k : k + 1] for k in range(3)]
    torch.testing.assert_close(make_focal()(logits, shares), sum(make_focal()(logits, one) for one in each))
    whole = nn.functional.one_hot(torch.tensor([2, 0, 1, 1, 2]), 3).float()
    torch.testing.assert_close(make_focal()(logits, whole), make_focal()(logits, whole.argmax(1)))


def test_the_binary_focal_loss_by_hand():
    logits, targets = torch.tensor([[math.log(3.0)], [0.0], [math.log(3.0)]]), torch.tensor([[1.0], [1.0], [0.0]])
    yes = [(1 / 4) ** 2 * -math.log(3 / 4), (1 / 2) ** 2 * -math.log(1 / 2)]
    no = (3 / 4) ** 2 * -math.log(1 / 4)
    assert BinaryFocalLoss(gamma=2.0, alpha=None)(logits, targets).item() == pytest.approx((sum(yes) + no) / 3)
    weighed = BinaryFocalLoss(gamma=2.0, alpha=0.25)(logits, targets)
    assert weighed.item() == pytest.approx((0.25 * sum(yes) + 0.75 * no) / 3)


def test_without_focus_the_binary_focal_loss_is_binary_cross_entropy():
    logits, targets = 5 * torch.randn(6, 4), torch.randint(2, (6, 4)).float()
    expected = nn.functional.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(BinaryFocalLoss(gamma=0.0, alpha=None)(logits, targets), expected)


def test_the_binary_focal_loss_is_that_of_two_classes_one_of_which_has_logit_0():
    logits, targets = torch.randn(7, 1), torch.randint(2, (7,))
    two = torch.cat([torch.zeros(7, 1), logits], 1)
    binary = BinaryFocalLoss(gamma=1.5, alpha=None)(logits, targets[:, None].float())
    torch.testing.assert_close(binary, make_focal(gamma=1.5)(two, targets))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_model_that_is_sure_costs_nothing_and_has_a_finite_gradient(gamma, dtype):
    targets = torch.tensor([0, 1])
    logits = certain(targets, 2).to(dtype).requires_grad_()
    yes_no = torch.tensor([CERTAIN, -CERTAIN], dtype=dtype, requires_grad=True)
    for loss, raw in (
        (make_focal(gamma=gamma)(logits, targets), logits),
        (BinaryFocalLoss(gamma=gamma, alpha=None)(yes_no, torch.tensor([1.0, 0.0])), yes_no),
    ):
        loss.backward()
        assert loss.item() == pytest.approx(0)
        assert raw.grad.isfinite().all()


def test_the_gradients_of_focal_losses_are_those_of_finite_differences():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    targets, yes_no = torch.tensor([0, 3, 1]), torch.randint(2, (3, 4)).double()
    assert torch.autograd.gradcheck(lambda raw: make_focal()(raw, targets), logits)
    assert torch.autograd.gradcheck(lambda raw: BinaryFocalLoss(gamma=2.0, alpha=0.3)(raw, yes_no), logits)
