"""The settings of ``task``, and the metrics of torchmetrics that it knows by name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from runner.config.types import Count, Node, Target

TaskName = Literal["classification", "binary", "multilabel", "regression", "segmentation"]
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")]


class Task(Node):
    name: TaskName
    outputs: Count
    metrics: list[MetricName] | dict[MetricName, Target] | None


_OF_CLASSES = {
    "accuracy": "Accuracy",
    "auroc": "AUROC",
    "average_precision": "AveragePrecision",
    "f1_score": "F1Score",
    "hamming_distance": "HammingDistance",
    "jaccard_index": "JaccardIndex",
    "matthews_corrcoef": "MatthewsCorrCoef",
    "negative_predictive_value": "NegativePredictiveValue",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
}
_OF_ONE_CLASS = {"calibration_error": "CalibrationError", "cohen_kappa": "CohenKappa", "hinge_loss": "HingeLoss"}
_NAMES = {
    "Multiclass": _OF_CLASSES | _OF_ONE_CLASS | {"exact_match": "ExactMatch"},
    "Binary": _OF_CLASSES | _OF_ONE_CLASS | {"eer": "EER", "logauc": "LogAUC"},
    "Multilabel": _OF_CLASSES
    | {
        "coverage_error": "CoverageError",
        "exact_match": "ExactMatch",
        "ranking_average_precision": "RankingAveragePrecision",
        "ranking_loss": "RankingLoss",
    },
}
_OF_VALUES = {
    "concordance_corrcoef": "ConcordanceCorrCoef",
    "explained_variance": "ExplainedVariance",
    "kendall_rank_corrcoef": "KendallRankCorrCoef",
    "log_cosh_error": "LogCoshError",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_error": "MeanSquaredError",
    "mean_squared_log_error": "MeanSquaredLogError",
    "normalized_root_mean_squared_error": "NormalizedRootMeanSquaredError",
    "pearson_corrcoef": "PearsonCorrCoef",
    "r2_score": "R2Score",
    "relative_squared_error": "RelativeSquaredError",
    "spearman_corrcoef": "SpearmanCorrCoef",
    "symmetric_mean_absolute_percentage_error": "SymmetricMeanAbsolutePercentageError",
    "tweedie_deviance_score": "TweedieDevianceScore",
    "weighted_mean_absolute_percentage_error": "WeightedMeanAbsolutePercentageError",
}
_OF_MASKS = {
    "dice_score": "DiceScore",
    "generalized_dice_score": "GeneralizedDiceScore",
    "hausdorff_distance": "HausdorffDistance",
    "mean_iou": "MeanIoU",
}


def _nodes(prefix: str, **settings: Any) -> dict[str, dict[str, Any]]:
    return {
        name: {"_target_": f"torchmetrics.classification.{prefix}{cls}", **settings}
        for name, cls in _NAMES[prefix].items()
    }


def named_metrics(task: str, outputs: int) -> Mapping[str, Mapping[str, Any]]:
    """What can be named in ``task.metrics``: every metric of torchmetrics that needs no settings and is one number.

    Args:
        task: Its name.
        outputs: Classes, labels or values for each sample.

    Returns:
        By name, the node that the metric is built from.
    """
    if task == "classification":
        return _nodes("Multiclass", num_classes=outputs)
    if task == "binary":
        return _nodes("Binary")
    if task == "multilabel":
        return _nodes("Multilabel", num_labels=outputs)
    if task == "regression":
        return {name: {"_target_": f"torchmetrics.regression.{cls}"} for name, cls in _OF_VALUES.items()}
    masks = {"num_classes": outputs, "input_format": "index"}
    return _nodes("Multiclass", num_classes=outputs, ignore_index=-100) | {
        name: {"_target_": f"torchmetrics.segmentation.{cls}", **masks} for name, cls in _OF_MASKS.items()
    }


def metric_nodes(task: Task) -> dict[str, Mapping[str, Any]]:
    """The metrics that a configuration adds, by name, each with the node that it is built from."""
    if isinstance(task.metrics, dict):
        return {name: target.node() for name, target in task.metrics.items()}
    known = named_metrics(task.name, task.outputs)
    return {name: known[name] for name in task.metrics or ()}
