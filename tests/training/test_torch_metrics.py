"""Metrics of torchmetrics that a configuration names: those of the whole split, in whatever batches it comes."""

import csv
import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config.sections.task import TaskName, named_metrics
from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.status import Status
from runner.training.execute import execute
from runner.training.metrics import Metric
from runner.training.signals import StopRequest
from runner.training.tasks import Task, make_task
from runner.trust import Trust

CPU = torch.device("cpu")
CLASSIFICATION = "torchmetrics.classification."
NUM_OUTPUTS = {"binary": 1, "regression": 2}


def task_with(name: str, outputs: int, *metrics: str) -> Task:
    known = named_metrics(name, outputs)
    return make_task(name, outputs, metrics={metric: known[metric] for metric in metrics})


def drawn(task: str, generator: torch.Generator, count: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw outputs and targets as the loop has them."""
    outputs = torch.randn(count, NUM_OUTPUTS.get(task, 3), generator=generator)
    if task == "segmentation":
        return torch.randn(count, 3, 4, 4, generator=generator), torch.randint(3, (count, 4, 4), generator=generator)
    return outputs, {
        "classification": torch.randint(3, (count,), generator=generator),
        "binary": torch.randint(2, (count,), generator=generator),
        "multilabel": torch.randint(2, (count, 3), generator=generator).float(),
        "regression": torch.rand(count, 2, generator=generator) + 0.1,
    }[task]


@pytest.mark.parametrize("task", get_args(TaskName))
def test_every_metric_that_can_be_named_is_one_number_however_often_it_is_saved_on_the_way(task: str) -> None:
    outputs, targets = drawn(task, torch.Generator().manual_seed(0))
    outputs = outputs.abs() if task == "regression" else outputs
    made = task_with(task, NUM_OUTPUTS.get(task, 3), *named_metrics(task, 3))
    whole, saved = made.new_metric(CPU), made.new_metric(CPU)
    assert all(math.isnan(whole.compute()[name]) for name in named_metrics(task, 3)), "of nothing there are none"
    for part, truth in zip(outputs.split(7), targets.split(7), strict=True):
        saved.update(part, truth)
        lent = part.clone()
        whole.update(lent, truth)
        lent.zero_()  # a CUDA graph writes its outputs over those of the update before
        state, saved = saved.state_dict(), made.new_metric(CPU)
        saved.load_state_dict(state)
    figures = whole.compute()
    assert set(named_metrics(task, 3)) <= figures.keys()
    assert all(isinstance(value, float) and not math.isnan(value) for value in figures.values())
    assert saved.compute() == figures


@pytest.mark.parametrize("prefix", ["multiclass", "binary", "multilabel"])
def test_names_are_those_of_torchmetrics(prefix: str) -> None:
    from torchmetrics.functional import classification

    task = "classification" if prefix == "multiclass" else prefix
    assert [name for name in named_metrics(task, 3) if not hasattr(classification, f"{prefix}_{name}")] == []


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 24), max_size=3))
def test_the_figures_are_those_of_the_whole_split_however_it_is_divided(seed: int, cuts: list[int]) -> None:
    from torchmetrics.functional.classification import multiclass_auroc, multiclass_cohen_kappa

    outputs, targets = drawn("classification", torch.Generator().manual_seed(seed))
    targets[:3] = torch.arange(3)
    metric = task_with("classification", 3, "auroc", "cohen_kappa").new_metric(CPU)
    for part, truth in zip(outputs.tensor_split(sorted(cuts)), targets.tensor_split(sorted(cuts)), strict=True):
        if len(part):
            metric.update(part, truth)
    figures = metric.compute()
    assert figures["auroc"] == pytest.approx(multiclass_auroc(outputs.softmax(1), targets, 3).item())
    assert figures["cohen_kappa"] == pytest.approx(multiclass_cohen_kappa(outputs, targets, 3).item())


def of(task: Task, outputs: list[Any], targets: list[Any]) -> dict[str, float]:
    metric: Metric = task.new_metric(CPU)
    metric.update(torch.tensor(outputs), torch.tensor(targets))
    return metric.compute()


def test_the_area_under_the_curve_by_hand() -> None:
    # of the 2 x 2 pairs of a yes and a no, the yes has the larger logit in 3
    figures = of(task_with("binary", 1, "auroc"), [[2.0], [0.5], [1.0], [-1.0]], [1, 1, 0, 0])
    assert figures["auroc"] == pytest.approx(3 / 4)
    assert figures["accuracy"] == pytest.approx(3 / 4), "the task's own are computed as well"


def test_values_and_masks_by_hand() -> None:
    figures = of(task_with("regression", 1, "spearman_corrcoef"), [[1.0], [5.0], [3.0], [4.0]], [1.0, 9.0, 2.0, 3.0])
    assert figures["spearman_corrcoef"] == pytest.approx(1.0)
    masks = [[[[2.0, -1.0]], [[0.0, 0.0]]]]  # class 0 and class 1, of which one pixel and none are true
    assert of(task_with("segmentation", 2, "mean_iou"), masks, [[[0, 0]]])["mean_iou"] == pytest.approx(1 / 4)


def test_pixels_that_are_ignored_count_nowhere() -> None:
    masks = [[[[2.0, -1.0, 3.0]], [[0.0, 0.0, 0.0]]]]
    figures = of(task_with("segmentation", 2, "jaccard_index"), masks, [[[0, 1, -100]]])
    assert figures["jaccard_index"] == pytest.approx(1.0)


def test_shares_of_classes_are_taken_for_the_largest() -> None:
    shares = [[0.7, 0.3], [0.4, 0.6]]
    assert of(task_with("classification", 2, "cohen_kappa"), [[1.0, 0.0], [0.0, 1.0]], shares)["cohen_kappa"] == 1.0


def test_whether_more_is_better_is_what_the_metric_says() -> None:
    task = task_with("classification", 3, "auroc", "hamming_distance", "specificity")
    names = ("auroc", "hamming_distance", "specificity", "accuracy", "loss")
    assert [task.higher_is_better(f"val/{name}") for name in names] == [True, False, True, True, False]


def test_a_metric_with_settings_is_built_as_it_is_written() -> None:
    node = {"_target_": f"{CLASSIFICATION}BinaryFBetaScore", "beta": 2.0}
    figures = of(make_task("binary", 1, metrics={"f2": node}), [[1.0], [1.0], [1.0], [-1.0]], [1, 0, 0, 1])
    precision, recall = 1 / 3, 1 / 2
    assert figures["f2"] == pytest.approx(5 * precision * recall / (4 * precision + recall))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": f"{CLASSIFICATION}MulticlassConfusionMatrix", "num_classes": 3}, "gives a Tensor of 9 numbers"),
        ({"_target_": f"{CLASSIFICATION}MulticlassROC", "num_classes": 3}, "gives a tuple"),
        ({"_target_": f"{CLASSIFICATION}MultilabelAUROC", "num_labels": 3}, "cannot be computed for task="),
        ({"_target_": "torch.nn.ReLU"}, "is a ReLU"),
    ],
)
def test_what_is_not_one_number_for_the_task_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_task("classification", 3, metrics={"mine": node})


def test_a_run_watches_the_metric_that_it_names(new_run: Callable[..., RunDirectory]) -> None:
    small = ("model.hidden=[8]", "epochs=2", "tracking.tensorboard=false", "tracking.progress=false")
    run = new_run(*small, "task.metrics=[hamming_distance]", "monitor=val/hamming_distance")
    assert execute(run, Trust((), everything=True), StopRequest()).exit_code == 0
    rows = list(csv.DictReader(run.metrics_file.read_text().splitlines()))
    found = [float(row["val/hamming_distance"]) for row in rows[:2]]
    assert Status.read(run.status_file).best == min(found)
    assert "test/hamming_distance" in rows[-1]
