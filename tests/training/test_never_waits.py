"""An update never waits for a GPU: a faked one, where whatever asks for a value or for a shape that depends on values
raises. What autograd does there takes a GPU, and is left out: ``make test-gpu`` watches all of an update.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from no_waiting import NoWaiting
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from runner.config.schema import RunConfig
from runner.data.cutmix import blending
from runner.data.loader import Batch
from runner.data.prepare import Prepare
from runner.data.share import Part
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.averaging import MovingAverage
from runner.training.devices import Device
from runner.training.gradient import EagerGradient
from runner.training.loop import train_step
from runner.training.optimizers import make_optimizer
from runner.training.parts import Parts
from runner.training.penalties import Penalties
from runner.training.progress import Progress
from runner.training.scores import most_held
from runner.training.tasks import make_task
from runner.training.team import Alone

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")

CUDA = torch.device("cuda")


def moved(module: nn.Module) -> nn.Module:
    """With its weights on the faked GPU; ``to`` does not know how to."""
    for layer in module.modules():
        for name, weight in layer.named_parameters(recurse=False):
            faked = torch.empty_like(weight, device=CUDA)
            layer.register_parameter(name, nn.Parameter(faked, weight.requires_grad))
        for name, buffer in layer.named_buffers(recurse=False):
            layer.register_buffer(name, torch.empty_like(buffer, device=CUDA))
    return module


class OnGPU(NamedTuple):
    """What is trained with on a faked GPU."""

    faked: FakeTensorMode
    parts: Parts
    batch: Batch
    """On the CPU."""


@pytest.fixture
def on_gpu(
    new_run: Callable[..., RunDirectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., OnGPU]:
    """From what would be typed."""

    def backwards(gradient: EagerGradient, micro: object, loss: Tensor) -> None:
        assert loss.device == torch.device("cuda", 0)
        for weight in gradient.parameters:
            weight.grad = torch.zeros_like(weight)

    monkeypatch.setattr(EagerGradient, "backwards", backwards)
    faked = FakeTensorMode(allow_non_fake_inputs=True)

    def build(*typed: str) -> OnGPU:
        run = new_run(*typed)
        config = RunConfig.model_validate(run.config())
        parts = assemble(config, run.choices(), Console(log_file=tmp_path / "log"))
        batch = parts.splits.train_in_order.first(config.data.batch_size)
        batch = batch._replace(part=Part(len(batch.targets), len(batch.targets), first=0, has_lead=False))
        added = config.regularization
        with faked:
            model = moved(parts.model)
            loss_fn = moved(parts.loss_fn)
            optimizer = make_optimizer(config.optimizer.node(), model, CUDA)
            averaged = None if parts.averaged is None else MovingAverage(model, added.ema.decay or 0.0)
            blend = blending(added.mixup.alpha, added.cutmix.alpha, config.data.num_classes or 0, config.seed)
            prepare = Prepare([0.5], [0.5], device=CUDA, blend=blend)
        parts = replace(
            parts,
            device=Device(CUDA, "faked", "fp32"),
            model=model,
            averaged=averaged,
            loss_fn=loss_fn,
            optimizer=optimizer,
            penalties=Penalties([*model.parameters()], added.l1 or 0.0, added.l2 or 0.0),
            splits=replace(parts.splits, prepare=prepare),
            team=Alone(CUDA),
        )
        return OnGPU(faked, parts, batch)

    return build


def update(on: OnGPU, count: int) -> None:
    """Make so many updates, of one and the same batch."""
    with on.faked, NoWaiting():
        on.parts.begin_training()
        scores, progress = on.parts.new_scores(training=True), Progress()
        for step in range(count):
            on.parts.set_lr(step)
            train_step(on.parts, [on.batch] * on.parts.accumulate, progress, scores)


@pytest.mark.parametrize(
    "typed",
    [
        ["model=mlp"],
        ["model=mlp", "training.accumulate=3", "loss.ignore_index=3"],
        ["model=lenet", "optimizer=adam", "loss=focal"],
        ["model=convnet", "optimizer=adamw", "regularization=[clip,ema,l1,l2,mixup,label_smoothing]"],
        ["model=convnet", "optimizer=rmsprop", "regularization=[cutmix,dropout]"],
        ["model=unet", "data.batch_size=2", "loss=dice_cross_entropy"],
    ],
    ids=" ".join,
)
def test_an_update_waits_for_nothing(on_gpu: Callable[..., OnGPU], typed: list[str]) -> None:
    update(on_gpu(*typed), most_held(1) + 2)  # in some, what was held back is counted


def test_what_has_to_ask_whether_a_loss_is_finite_is_found_to_wait(on_gpu: Callable[..., OnGPU]) -> None:
    with pytest.raises(DataDependentOutputException):
        update(on_gpu("model=mlp", "training.nonfinite=skip"), 1)


@pytest.mark.parametrize("task", ["classification", "binary", "multilabel", "regression", "segmentation"])
def test_no_metric_of_a_task_waits_where_it_counts(task: str) -> None:
    shape = {"segmentation": (2, 3, 4, 4), "binary": (2, 1)}.get(task, (2, 3))
    has_classes = task in ("classification", "segmentation")
    with FakeTensorMode(allow_non_fake_inputs=True), NoWaiting():
        metric = make_task(task, shape[1], ["a", "b", "c"]).new_metric(CUDA)
        outputs = torch.zeros(shape, device=CUDA)
        targets = (
            torch.zeros(2, *shape[2:], dtype=torch.int64, device=CUDA) if has_classes else torch.zeros_like(outputs)
        )
        metric.update(outputs, targets)
        with pytest.raises((DataDependentOutputException, AssertionError)):
            metric.compute()
