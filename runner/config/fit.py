"""Refusing, by name, parts of a configuration that cannot work together."""

from collections.abc import Mapping
from typing import Any

from runner.config.fit_data import DATA_CHECKS
from runner.config.fit_device import DEVICE_CHECKS
from runner.config.fit_model import MODEL_CHECKS
from runner.config.origin import Origin
from runner.config.schema import RunConfig
from runner.config.sections.loss import Loss, NLLLoss, single_losses
from runner.config.sections.task import named_metrics
from runner.errors import UserError, listing, nearest

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


def misfits(config: Mapping[str, Any], origin: Origin, of_data_alone: bool) -> list[UserError]:
    """What is wrong between the parts of a configuration that is valid part by part.

    Args:
        config: The configuration.
        origin: Where settings come from.
        of_data_alone: Whether it does not matter what is trained on the data.
    """
    run = RunConfig.model_validate(config)
    return [error for check in (DATA_CHECKS if of_data_alone else _CHECKS) if (error := check(run, origin))]


def _overruled(run: RunConfig, origin: Origin) -> UserError | None:
    """An option that was typed, and does nothing because the experiment sets the same key to something else."""
    if "regularization" not in origin.typed:
        return None
    for option, path, value in origin.reaches("regularization"):
        found: Any = run.model_dump(by_alias=True)
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        name = ".".join(path)
        if found != value and name not in origin.typed and origin.experiment_file(path):
            return UserError(
                f"regularization={option} sets {name}={value}, but experiment={origin.choice('experiment')} "
                f"sets {found}",
                where=origin.file_of(path),
                fix=f"{name}={value} on the command line, which wins over both",
            )
    return None


def _losses_for_task(run: RunConfig, origin: Origin) -> UserError | None:
    wrong = [
        loss for loss in single_losses(run.loss).values() if isinstance(loss, Loss) and run.task.name not in loss.tasks
    ]
    if not wrong:
        return None
    return UserError(
        f"loss={origin.choice('loss')} cannot be used for task={run.task.name}",
        where=origin.of(("loss",)),
        expected=f"a loss for {run.task.name}; {wrong[0].target} is for {' and '.join(wrong[0].tasks)}",
        fix=f"loss={LOSS_OF_TASK[run.task.name]}",
    )


def _log_probabilities(run: RunConfig, origin: Origin) -> UserError | None:
    activation = run.model.node().get("output_activation")
    wants = any(isinstance(loss, NLLLoss) for loss in single_losses(run.loss).values())
    if not wants or activation in (None, "log_softmax"):
        return None
    return UserError(
        f"loss={origin.choice('loss')} is of log-probabilities, but model.output_activation={activation} gives none",
        where=origin.of(("loss",)),
        fix="model.output_activation=log_softmax, or loss=cross_entropy",
    )


def _two_classes(run: RunConfig, origin: Origin) -> UserError | None:
    if run.task.name != "binary" or run.data.num_classes in (None, 2):
        return None
    return UserError(
        f"task=binary answers yes or no, but data={origin.choice('data')} has {run.data.num_classes} classes",
        where=origin.of(("task",)),
        expected="classes 0 and 1; there is one more of them than the greatest number that stands for one",
        fix="task=classification",
    )


def _blending(run: RunConfig, origin: Origin) -> UserError | None:
    for name, setting in (("mixup", run.regularization.mixup), ("cutmix", run.regularization.cutmix)):
        if setting.alpha is not None and run.task.name != "classification":
            return UserError(
                f"regularization.{name} blends classes, but task={run.task.name} has none to blend",
                where=origin.of(("regularization", name, "alpha")),
                fix=f"regularization.{name}.alpha=null",
            )
    if run.regularization.cutmix.alpha is not None and run.data.image_size is None:
        return UserError(
            f"regularization.cutmix pastes parts of images, but data={origin.choice('data')} has none",
            where=origin.of(("regularization", "cutmix", "alpha")),
            fix="regularization=[mixup]",
        )
    return None


def _blended_targets(run: RunConfig, origin: Origin) -> UserError | None:
    """Losses that take a class for each sample, but not the shares of classes that blending gives."""
    settings = {"mixup": run.regularization.mixup, "cutmix": run.regularization.cutmix}
    name = next((name for name, setting in settings.items() if setting.alpha is not None), None)
    if name is None or run.task.name != "classification":
        return None
    for loss in single_losses(run.loss).values():
        if isinstance(loss, NLLLoss):
            return UserError(
                f"loss={origin.choice('loss')} takes one class for a sample, but regularization.{name} gives shares",
                where=origin.of(("regularization", name, "alpha")),
                fix=f"loss=cross_entropy, or regularization.{name}.alpha=null",
            )
        ignored = loss.node().get("ignore_index")
        if isinstance(loss, Loss) and ignored is not None and ignored >= 0:
            return UserError(
                f"loss.ignore_index={ignored} leaves a class out, but regularization.{name} gives shares of classes",
                where=origin.of(("loss", "ignore_index")),
                fix=f"loss.ignore_index=-100, or regularization.{name}.alpha=null",
            )
    return None


def _weights_of_classes(run: RunConfig, origin: Origin) -> UserError | None:
    """More or fewer weights than classes: torch tells it in the middle of a step, or repeats outputs to fit them."""
    outputs = run.task.outputs
    for path, loss in single_losses(run.loss).items():
        for key in ("weight", "pos_weight") if isinstance(loss, Loss) else ():
            weights = loss.node().get(key)
            if weights is None or len(weights) == outputs or (key == "pos_weight" and len(weights) == 1):
                continue
            return UserError(
                f"{'.'.join((*path, key))} is of length {len(weights)}, and task={run.task.name} of {outputs} here",
                where=origin.of((*path, key)),
                expected="a number for each class or label" if outputs > 1 else "one number",
            )
    return None


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
    if run.data.split.val != 0 or run.data.folds is not None or not run.monitor.startswith("val/"):
        return None
    return UserError(
        f"monitor={run.monitor}, but there is no validation split: data.split.val=0",
        where=origin.of(("monitor",)),
        fix="data.split.val=0.1, or monitor=train/loss",
    )


def _metrics(run: RunConfig, origin: Origin) -> UserError | None:
    """Names that torchmetrics does not have, or that the task has already."""
    if not run.task.metrics:
        return None
    where = origin.of(("task", "metrics"))
    known = sorted(named_metrics(run.task.name, run.task.outputs).keys() - set(METRICS[run.task.name]))
    for name in run.task.metrics:
        if name in METRICS[run.task.name]:
            return UserError(
                f"task.metrics: task={run.task.name} has a metric called {name} already",
                where=where,
                expected="others: it is computed without being named",
            )
        if isinstance(run.task.metrics, list) and name not in known:
            return UserError(
                f"task.metrics: {name} is not a metric for task={run.task.name} that needs no settings",
                where=where,
                expected=listing(known),
                nearest=nearest(name, known),
                fix="'task.metrics={NAME: {_target_: torchmetrics.CLASS, SETTING: VALUE}}' for one that needs them",
            )
    return None


def _monitor(run: RunConfig, origin: Origin) -> UserError | None:
    metrics = (*METRICS[run.task.name], *(run.task.metrics or ()))
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


_CHECKS = (
    *MODEL_CHECKS,
    _overruled,
    _losses_for_task,
    _log_probabilities,
    _weights_of_classes,
    _two_classes,
    _blending,
    _blended_targets,
    *DATA_CHECKS,
    *DEVICE_CHECKS,
    _momentum,
    _validation,
    _metrics,
    _monitor,
)
