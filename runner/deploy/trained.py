"""The model of a run as it was trained, ready for new data: none of the data that it was trained on is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.config.frozen import frozen
from runner.config.schema import RunConfig
from runner.data.loader import Batch, Change
from runner.data.prepare import Prepare
from runner.data.source import Array
from runner.models.loading import load_saved
from runner.runs.directory import RunDirectory
from runner.runs.signature import Signature, Values
from runner.training.changes import changes_of
from runner.training.devices import Device, choose, prepare_process
from runner.training.model import make_model
from runner.training.session import checkpoint_store
from runner.training.tasks import Task, make_task
from runner.training.team import Alone
from runner.trust import Trust


@dataclass(frozen=True, slots=True)
class Trained:
    """A model with the weights of a checkpoint, in eval mode on its device."""

    config: RunConfig
    signature: Signature
    net: nn.Module
    """With the averaged weights where the run averaged them, as in an evaluation."""
    task: Task
    device: Device
    changes: tuple[Change, ...]
    prepare: Prepare
    epoch: int
    """Epochs that the checkpoint was trained for."""

    @property
    def source(self) -> dict[str, Any]:
        """Settings of a source that comes with runner; none of another one, where nobody knows what they mean."""
        node = self.config.data.source.node()
        return node if node["_target_"].startswith("runner.data.sources.") else {}

    def inputs(self, values: Sequence[Array]) -> tuple[Tensor, ...]:
        """What the model takes for samples (B, ...) of each input, as an evaluation would make it of them."""
        targets = _filled(self.signature.target, len(values[0]), 0)
        batch = Batch(tuple(map(torch.from_numpy, values)), targets, torch.arange(len(values[0])))
        for change in self.changes:
            batch = change(batch, 0)
        return self.prepare(batch)[0]

    @torch.no_grad()
    def predict(self, values: Sequence[Array]) -> Tensor:
        """Probabilities, or values where the outputs are values: (B, outputs, ...) float32 on the device."""
        with self.device.autocast():
            outputs = self.net(*self.inputs(values))
        return self.task.predict(outputs.float())


def open_trained(run: RunDirectory, checkpoint: str, trust: Trust, device: str | None = None) -> Trained:
    """Build the model of a run and give it the weights of a checkpoint.

    Args:
        run: The run.
        checkpoint: ``best``, ``last`` or a file.
        trust: Whose code the run may name.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; None: that of the run, with its precision. On another one the
            model computes in fp32.

    Raises:
        UserError: If the checkpoint does not exist or is of another run, the run is of another version or names code
            that is not trusted, or the device is missing.
    """
    trust.check(run.config(), run.path)
    config = frozen(run)
    signature = Signature.read(run.signature_file)
    state = checkpoint_store(run, config).load(checkpoint)
    chosen = choose(config.device.kind, config.device.precision) if device is None else choose(device, "fp32")
    prepare_process(config.device.threads, config.device.deterministic)
    changes = changes_of(config.data, "eval_transforms", config.seed)
    normalize: dict[str, Any] = signature.normalize or {}
    prepare = Prepare(**normalize, evaluate=changes.on_device, seed=config.seed, device=chosen.device)
    task = make_task(config.task.name, config.task.outputs, signature.class_names)
    # Ones, because a collate may take zeros for padding and leave nothing of them.
    few = Batch(tuple(_filled(one, 2, 1) for one in signature.stored), _filled(signature.target, 2, 0), torch.arange(2))
    for change in changes.where_made:
        few = change(few, 0)
    made = make_model(config, run.choices(), chosen, few, prepare, task, Alone(chosen.device))
    net, average = made.net, made.averaged
    if average is None:
        load_saved(net, state["model"])
    else:
        load_saved(average, state["averaged"])
        net = average.module
    net.requires_grad_(False).eval()
    return Trained(config, signature, net, task, chosen, changes.where_made, prepare, int(state["progress"]["epoch"]))


def _filled(values: Values, count: int, number: int) -> Tensor:
    return torch.from_numpy(np.full((count, *values.shape), number, np.dtype(values.dtype)))
