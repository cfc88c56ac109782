"""Refusing, by name, parts of a configuration that cannot work together."""

from collections.abc import Mapping
from typing import Any

from runner.config.origin import Origin
from runner.config.schema import RunConfig
from runner.config.sections.loss import Loss, WeightedSum
from runner.config.sections.model import MODELS
from runner.errors import UserError, nearest

METRICS = {
    "classification": ("loss", "accuracy", "f1"),
    "binary": ("loss", "accuracy", "precision", "recall", "f1"),
    "multilabel": ("loss", "accuracy", "f1"),
    "regression": ("loss", "mae", "rmse", "r2"),
    "segmentation": ("loss", "dice", "iou", "accuracy"),
}
"""The figures of each task; segmentation adds ``dice_CLASS``. Known here so that a wrong name is told without torch."""
LOSS_OF_TASK = {
    "classification": "cross_entropy",
    "binary": "bce",
    "multilabel": "bce",
    "regression": "mse",
    "segmentation": "cross_entropy",
}


def misfits(config: Mapping[str, Any], origin: Origin) -> list[UserError]:
    """What is wrong between the parts of a configuration that is valid part by part."""
    run = RunConfig.model_validate(config)
    checks = (
        _model_for_task,
        _model_for_images,
        _model_for_size,
        _losses_for_task,
        _two_classes,
        _mixup,
        _class_weights,
        _momentum,
        _validation,
        _monitor,
    )
    return [error for check in checks if (error := check(run, origin))]


def _model_for_task(run: RunConfig, origin: Origin) -> UserError | None:
    model = MODELS.get(run.model.target)
    if model is None or run.task.name in model.tasks:
        return None
    suited = sorted({cls.option for cls in MODELS.values() if run.task.name in cls.tasks})
    return UserError(
        f"model={origin.choice('model')} cannot do task={run.task.name}, which data={origin.choice('data')} sets",
        expected=f"a model for {run.task.name}: {', '.join(suited)}, or your own",
        fix=f"model={suited[0]}, or data for {' or '.join(model.tasks)}",
    )


def _model_for_images(run: RunConfig, origin: Origin) -> UserError | None:
    model = MODELS.get(run.model.target)
    if model is None or run.data.image_size is not None or not model.needs_images:
        return None
    return UserError(
        f"model={origin.choice('model')} takes images, but data={origin.choice('data')} gives rows of numbers",
        where="data.image_size: null",
        fix="model=mlp, or data with images",
    )


def _model_for_size(run: RunConfig, origin: Origin) -> UserError | None:
    model = MODELS.get(run.model.target)
    if model is None or run.data.image_size is None or min(run.data.image_size) >= model.smallest_image:
        return None
    size = " x ".join(map(str, run.data.image_size))
    return UserError(
        f"model={origin.choice('model')} cannot work with data={origin.choice('data')}: its images are {size}",
        expected=f"at least {model.smallest_image} x {model.smallest_image} pixels",
        fix="data.image_size=[28,28], or model=convnet",
    )


def _losses_for_task(run: RunConfig, origin: Origin) -> UserError | None:
    losses = [term.loss for term in run.loss.terms.values()] if isinstance(run.loss, WeightedSum) else [run.loss]
    wrong = [loss for loss in losses if isinstance(loss, Loss) and run.task.name not in loss.tasks]
    if not wrong:
        return None
    return UserError(
        f"loss={origin.choice('loss')} cannot be used for task={run.task.name}",
        where=origin.of(("loss",)),
        expected=f"a loss for {run.task.name}; {wrong[0].target} is for {' and '.join(wrong[0].tasks)}",
        fix=f"loss={LOSS_OF_TASK[run.task.name]}",
    )


def _two_classes(run: RunConfig, origin: Origin) -> UserError | None:
    if run.task.name != "binary" or run.data.num_classes in (None, 2):
        return None
    return UserError(
        f"task=binary answers yes or no, but data={origin.choice('data')} has {run.data.num_classes} classes",
        where=origin.of(("task",)),
        fix="task=classification",
    )


def _mixup(run: RunConfig, origin: Origin) -> UserError | None:
    if run.regularization.mixup.alpha is None or run.task.name == "classification":
        return None
    return UserError(
        f"regularization.mixup blends classes, but task={run.task.name} has none to blend",
        where=origin.of(("regularization", "mixup", "alpha")),
        fix="regularization.mixup.alpha=null",
    )


def _class_weights(run: RunConfig, origin: Origin) -> UserError | None:
    if run.data.order != "weighted" or run.data.class_weights is not None:
        return None
    return UserError(
        "data.order=weighted needs data.class_weights",
        where=origin.of(("data", "order")),
        fix="data.class_weights=[1,2], a number for each class, or data.order=balanced",
    )


def _momentum(run: RunConfig, origin: Origin) -> UserError | None:
    optimizer = run.optimizer.node()
    if not optimizer.get("nesterov") or optimizer.get("momentum"):
        return None
    return UserError(
        "optimizer.nesterov=true needs momentum",
        where=origin.of(("optimizer", "nesterov")),
        fix="optimizer.momentum=0.9",
    )


def _validation(run: RunConfig, origin: Origin) -> UserError | None:
    if run.data.split.val != 0 or not run.monitor.startswith("val/"):
        return None
    return UserError(
        f"monitor={run.monitor}, but there is no validation split: data.split.val=0",
        where=origin.of(("monitor",)),
        fix="data.split.val=0.1, or monitor=train/loss",
    )


def _monitor(run: RunConfig, origin: Origin) -> UserError | None:
    metrics = METRICS[run.task.name]
    known = [f"{split}/{name}" for split in ("val", "train") for name in metrics]
    per_class = "dice" in metrics and run.monitor.startswith(("val/dice_", "train/dice_"))
    if run.monitor == "auto" or run.monitor in known or per_class:
        return None
    close = nearest(run.monitor, known)
    return UserError(
        f"monitor={run.monitor} is not a metric of task={run.task.name}",
        where=origin.of(("monitor",)),
        expected=", ".join(["auto", *known]),
        nearest=close,
        fix=f"monitor={close}" if close else None,
    )
