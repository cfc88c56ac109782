"""Metrics against torchmetrics and against values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.training.metrics import (
    BinaryMetrics,
    ClassificationMetrics,
    MultilabelMetrics,
    RegressionMetrics,
    SegmentationMetrics,
    counted,
)

CPU = torch.device("cpu")
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]),
]


def logits_for(classes: list[int], num_classes: int) -> torch.Tensor:
    """Outputs whose largest entry is at the given class."""
    return torch.nn.functional.one_hot(torch.tensor(classes), num_classes).float()


def test_accuracy_and_macro_f1_by_hand() -> None:
    metric = ClassificationMetrics(3, CPU)
    metric.update(logits_for([0, 0, 1, 2], 3), torch.tensor([0, 1, 1, 2]))
    # class 0: 1 hit, 2 predicted, 1 true: 2/3; class 1: 1 hit, 1 predicted, 2 true: 2/3; class 2: 1
    assert metric.compute() == pytest.approx({"accuracy": 3 / 4, "f1": (2 / 3 + 2 / 3 + 1) / 3})


def test_a_class_that_never_occurs_does_not_count_in_the_mean() -> None:
    metric = ClassificationMetrics(5, CPU)
    metric.update(logits_for([0, 1], 5), torch.tensor([0, 1]))
    assert metric.compute() == {"accuracy": 1.0, "f1": 1.0}


def test_ignored_and_negative_targets_count_nowhere() -> None:
    metric = SegmentationMetrics(2, CPU, (), ignore_index=1)
    metric.update(torch.tensor([[[0.0, 1.0, 0.0]], [[1.0, 0.0, 1.0]]]).transpose(0, 1), torch.tensor([[0, 1, -100]]))
    assert metric.counts().tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_classes_of_any_integer_type_are_told_apart(dtype: torch.dtype) -> None:
    metric = ClassificationMetrics(200, CPU)
    metric.update(logits_for([7, 199, 7], 200), torch.tensor([199, 199, 3], dtype=dtype))
    assert {tuple(cell) for cell in metric.counts().nonzero().tolist()} == {(199, 7), (199, 199), (3, 7)}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("bins", "shape"), [(1, (5,)), (4, (3, 50)), (100, (2, 70, 70)), (300 * 300, (40, 50))])
def test_cells_are_counted_each_in_its_bin_and_those_outside_nowhere(
    device: str, bins: int, shape: tuple[int, ...]
) -> None:
    cells = torch.randint(-bins, 2 * bins, shape, generator=torch.Generator().manual_seed(0))
    cells.view(-1)[:5] = torch.tensor([0, bins - 1, -1, bins, bins + 1])
    expected = [0] * bins
    for cell in cells.flatten().tolist():
        if 0 <= cell < bins:
            expected[cell] += 1
    found = counted(cells.to(device), bins)
    assert found.dtype == torch.int64
    assert found.tolist() == expected


def test_dice_and_iou_by_hand() -> None:
    metric = SegmentationMetrics(2, CPU, ("ground", "cell"))
    truth = torch.tensor([[[0, 0], [1, 1]]])
    predicted = torch.tensor([[[0, 1], [1, 1]]])
    metric.update(torch.nn.functional.one_hot(predicted, 2).permute(0, 3, 1, 2).float(), truth)
    # ground: 1 hit of 2 true, 1 predicted: dice 2/3, iou 1/2; cell: 2 hits of 2 true, 3 predicted: dice 4/5, iou 2/3
    assert metric.compute() == pytest.approx(
        {
            "dice": (2 / 3 + 4 / 5) / 2,
            "iou": (1 / 2 + 2 / 3) / 2,
            "accuracy": 3 / 4,
            "dice_ground": 2 / 3,
            "dice_cell": 4 / 5,
        }
    )


def test_binary_by_hand() -> None:
    metric = BinaryMetrics(CPU)
    metric.update(torch.tensor([[2.0], [1.0], [-1.0], [-2.0], [3.0]]), torch.tensor([1, 0, 1, 0, 1]))
    # 2 true positives, 1 false positive, 1 false negative, 1 true negative
    assert metric.compute() == pytest.approx({"accuracy": 3 / 5, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})


def test_multilabel_by_hand() -> None:
    metric = MultilabelMetrics(2, CPU)
    metric.update(torch.tensor([[1.0, -1.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    # label 0: hit 1, true 1, predicted 2: 2/3; label 1: hit 1, true 2, predicted 1: 2/3; right answers 2 of 4
    assert metric.compute() == pytest.approx({"accuracy": 2 / 4, "f1": 2 / 3})


def test_regression_by_hand() -> None:
    metric = RegressionMetrics(CPU)
    metric.update(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0]))
    metric.update(torch.tensor([[5.0]]), torch.tensor([4.0]))
    # errors 0, -2, 1; mean of the targets 3, their total sum of squares 4 + 1 + 1 = 6, residual 5
    assert metric.compute() == pytest.approx({"mae": 1.0, "rmse": math.sqrt(5 / 3), "r2": 1 - 5 / 6})


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), num_classes=st.integers(2, 6), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_metrics_equal_torchmetrics_however_the_set_is_divided(seed: int, num_classes: int, cuts: list[int]) -> None:
    functional = pytest.importorskip("torchmetrics.functional")
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(40, num_classes, generator=generator)
    # every class occurs: what torchmetrics makes of an absent class is a convention of its own
    targets = torch.cat(
        [torch.arange(num_classes), torch.randint(num_classes, (40 - num_classes,), generator=generator)]
    )
    metric = ClassificationMetrics(num_classes, CPU)
    for part, truth in zip(outputs.tensor_split(sorted(cuts)), targets.tensor_split(sorted(cuts)), strict=True):
        metric.update(part, truth)
    found = metric.compute()
    kwargs = {"task": "multiclass", "num_classes": num_classes}
    assert found["accuracy"] == pytest.approx(functional.accuracy(outputs, targets, average="micro", **kwargs).item())
    assert found["f1"] == pytest.approx(
        functional.f1_score(outputs, targets, average="macro", **kwargs).item(), abs=1e-6
    )
