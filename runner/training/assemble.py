"""From a checked configuration to everything that a run trains with."""

import socket
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from runner.build import build, build_a
from runner.config.schema import RunConfig
from runner.config.sections.regularization import Regularization
from runner.config.sections.task import metric_nodes
from runner.data.share import Share
from runner.errors import UserError, listing, nearest
from runner.models.adapt.weights import lr_factors
from runner.parallel.group import Group
from runner.tracking.console import Console
from runner.training.data import load_data
from runner.training.deterministic import in_order
from runner.training.devices import choose, of_process, prepare_process, require
from runner.training.lean_torch import spare_dynamo
from runner.training.model import make_model
from runner.training.optimizers import held_small, make_optimizer
from runner.training.parts import Parts
from runner.training.penalties import Penalties
from runner.training.progress import Monitor, Plan
from runner.training.randomness import seed_everything
from runner.training.schedules import Plateau, Schedule
from runner.training.targets import classes_without_samples, refuse_other_targets
from runner.training.tasks import make_task
from runner.training.team import Alone, Replicas, Team


def assemble(config: RunConfig, choices: Mapping[str, Any], console: Console, group: Group | None = None) -> Parts:
    """Build everything from the configuration, with every generator started from the seed.

    Args:
        config: Of the run.
        choices: The option chosen in each group, for messages.
        console: Told what is used.
        group: The processes that train together; None: this one works by itself, whatever ``device.parallel`` says.

    Raises:
        UserError: If the data is broken, the device is missing, or parts do not fit together.
    """
    device = choose(config.device.kind, config.device.precision)
    if group is not None:
        device = of_process(device, group)
    require(device, config.device)
    prepare_process(config.device.threads, config.device.deterministic, group)
    if not config.device.compile:
        spare_dynamo()
    console.note(f"device   {device.describe()}")
    seed_everything(config.seed)
    with console.progress("reading data") as progress:
        splits = load_data(
            config.data,
            config.seed,
            device.device,
            progress,
            mixup_alpha=config.regularization.mixup.alpha,
            cutmix_alpha=config.regularization.cutmix.alpha,
            note=console.note,
            share=None if group is None else Share(group.rank, group.size),
            neighbours=1 if group is None else group.alike(socket.gethostname())[1],
        )
    console.note(f"data     {choices.get('data')}: {splits.describe()}")
    if lacking := classes_without_samples(splits.store.targets, config.data.num_classes):
        console.warn(
            f"no sample is of class {listing(lacking, limit=5)}, of {config.data.num_classes}: they are numbered from 0"
        )
    task = make_task(config.task.name, config.task.outputs, splits.class_names, metric_nodes(config.task))
    seed_everything(config.seed)  # so that a model's first weights do not depend on how the data was read
    team = _team(config, group, device.device)
    made = make_model(config, choices, device, splits.train_in_order.first(2), splits.prepare, task, team)
    model = made.net
    loss_fn = build_a(
        nn.Module, _with_tensors(config.loss.node()), key="loss", expected="a loss: a torch.nn.Module"
    ).to(device.device)
    if weights := [name for name, weight in loss_fn.named_parameters() if weight.requires_grad]:
        console.warn(f"the loss has weights of its own, which are not trained and not saved: {listing(weights, 5)}")
    refuse_other_targets(splits.store.targets, loss_fn, task.outputs)
    if config.device.deterministic and device.device.type == "cuda":
        loss_fn = in_order(loss_fn, splits.store.targets)
    steps_per_epoch = -(-len(splits.train) // config.training.accumulate)
    epochs = float(config.epochs)
    if config.max_steps is not None:
        epochs = min(epochs, config.max_steps / steps_per_epoch)
    return Parts(
        task=task,
        device=device,
        model=model,
        averaged=made.averaged,
        compiles=config.device.compile,
        graphs=config.device.cuda_graph,
        accumulate=config.training.accumulate,
        clip_norm=config.regularization.clip_norm,
        loss_fn=loss_fn,
        optimizer=make_optimizer(
            config.optimizer.node(),
            model,
            device.device,
            norms_and_biases=config.regularization.norms_and_biases,
            lr_factors=lr_factors(model, config.adapt.lr_factors or {}),
            for_graph=config.device.cuda_graph,
        ),
        schedule=_schedule(config),
        lr_every=config.training.lr_every,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        splits=splits,
        scaler=device.scaler(),
        penalties=_penalties(config.regularization, model),
        skip_nonfinite=config.training.nonfinite == "skip",
        new_layers=made.new_layers,
        auxiliary_weights=made.auxiliary_weights,
        held=made.held,
        team=team,
    )


def _team(config: RunConfig, group: Group | None, device: torch.device) -> Team:
    if group is None:
        return Alone(device)
    if config.device.parallel == "fsdp":
        from runner.training.sharded import Shards  # which takes seconds to import

        return Shards(group, device, config.device.sync_batch_norm)
    return Replicas(group, device, config.device.sync_batch_norm)


def _schedule(config: RunConfig) -> Schedule | Plateau:
    schedule = build(config.scheduler.node(), key="scheduler")
    if not (callable(schedule) or isinstance(schedule, Plateau)):
        raise UserError(
            f"scheduler: {config.scheduler.node()['_target_']} gives a {type(schedule).__name__}",
            expected="an object that is called with the epochs trained so far and the epochs planned",
        )
    return cast(Schedule | Plateau, schedule)


def _penalties(config: Regularization, model: nn.Module) -> Penalties | None:
    if config.l1 is None and config.l2 is None:
        return None
    return Penalties(held_small(model, norms_and_biases=config.norms_and_biases), config.l1 or 0.0, config.l2 or 0.0)


def _with_tensors(loss: dict[str, Any]) -> dict[str, Any]:
    """Class weights, lists in a configuration, as the tensors that torch's losses take."""
    changed = {key: _with_tensors(value) if isinstance(value, dict) else value for key, value in loss.items()}
    for key in ("weight", "pos_weight"):
        if isinstance(loss.get(key), list):
            changed[key] = torch.tensor(loss[key], dtype=torch.float32)
    return changed


def make_plan(config: RunConfig, parts: Parts) -> Plan:
    """The numbers that the loop goes by.

    Raises:
        UserError: If the monitored metric does not exist.
    """
    split = "val" if parts.splits.val is not None else "train"
    metric = f"{split}/{parts.task.monitor}" if config.monitor == "auto" else config.monitor
    known = [f"{name}/{key}" for name in ("train", split) for key in parts.figures()]
    if metric not in known:
        close = nearest(metric, known)
        raise UserError(
            f"monitor={metric} is not a metric of task={parts.task.name}",
            expected=", ".join(dict.fromkeys(known)),
            nearest=close,
            fix=f"monitor={close}" if close else None,
        )
    early, keep = config.regularization.early_stopping, config.checkpoint.keep_best
    return Plan(
        epochs=config.epochs,
        max_steps=config.max_steps,
        log_every=config.tracking.log_every,
        save_every_epochs=config.checkpoint.every_epochs,
        save_every_steps=config.checkpoint.every_steps,
        save_every_minutes=config.checkpoint.every_minutes,
        monitor=Monitor(metric, parts.task.higher_is_better(metric), early.min_delta, early.patience, keep),
    )
