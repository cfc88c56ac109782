"""Refusing, by name, parts of a configuration that cannot work together."""

from collections.abc import Mapping
from typing import Any

from runner.config.origin import Origin
from runner.config.schema import MODELS, RunConfig
from runner.errors import UserError


def misfits(config: Mapping[str, Any], origin: Origin) -> list[UserError]:
    """What is wrong between the parts of a configuration that is valid part by part."""
    run = RunConfig.model_validate(config)
    checks = (_model_for_task, _model_for_images, _mixup, _class_weights, _momentum, _monitor)
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


def _monitor(run: RunConfig, origin: Origin) -> UserError | None:
    if run.data.split.val != 0 or not run.monitor.startswith("val/"):
        return None
    return UserError(
        f"monitor={run.monitor}, but there is no validation split: data.split.val=0",
        where=origin.of(("monitor",)),
        fix="data.split.val=0.1, or monitor=train/loss",
    )
