"""Every loss, trained with, for every task that it is for: the figure in the table is that of torch by hand."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from runner.config.schema import RunConfig
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.execute import execute
from runner.training.signals import StopRequest
from runner.trust import Trust

NewRun = Callable[..., RunDirectory]

SOURCE = """
import torch

class Tiny(torch.utils.data.Dataset):
    def __init__(self, kind):
        draw = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(24, 3, 8, 8, generator=draw)
        classes = torch.arange(24) % 3
        self.targets = {
            "classification": classes,
            "binary": classes % 2,
            "multilabel": torch.randint(2, (24, 4), generator=draw).float(),
            "regression": torch.randn(24, 2, generator=draw),
            "segmentation": torch.randint(3, (24, 8, 8), generator=draw),
        }[kind]

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return self.inputs[index], self.targets[index]
"""
TYPED = {
    "classification": ["model=convnet", "model.widths=[4]", "data.num_classes=3"],
    "binary": ["model=convnet", "model.widths=[4]", "data.num_classes=null"],
    "multilabel": ["model=convnet", "model.widths=[4]", "data.num_classes=null", "task.outputs=4"],
    "regression": ["model=convnet", "model.widths=[4]", "data.num_classes=null", "task.outputs=2"],
    "segmentation": ["model=unet", "model.width=2", "model.levels=1", "data.num_classes=3"],
}


def dice(outputs: Tensor, targets: Tensor) -> Tensor:
    p, t = outputs.softmax(1).flatten(2), functional.one_hot(targets, 3).movedim(-1, 1).flatten(2)
    return 1 - ((2 * (p * t).sum(2) + 1) / (p.sum(2) + t.sum(2) + 1)).mean()


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    losses = functional.cross_entropy(outputs, targets, reduction="none")
    return ((1 - torch.exp(-losses)) ** 2 * losses).mean()


def binary_focal(outputs: Tensor, targets: Tensor) -> Tensor:
    losses = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    return ((1 - torch.exp(-losses)) ** 2 * losses).mean()


VALUES = {"mse": functional.mse_loss, "l1": functional.l1_loss, "huber": functional.huber_loss}
YES_OR_NO = {"bce": functional.binary_cross_entropy_with_logits, "binary_focal": binary_focal}
ONE_OF_SEVERAL = {"cross_entropy": functional.cross_entropy, "nll": functional.nll_loss, "focal": focal}
MASKS = {"dice": dice, "dice_cross_entropy": lambda *both: dice(*both) + functional.cross_entropy(*both)}
REFERENCES = {
    "classification": ONE_OF_SEVERAL,
    "binary": VALUES | YES_OR_NO,
    "multilabel": VALUES | YES_OR_NO,
    "regression": VALUES,
    "segmentation": ONE_OF_SEVERAL | MASKS,
}


def run_of(task: str, new_run: NewRun, folder: Path, *typed: str) -> RunDirectory:
    """A run of one update over all 20 training samples."""
    (folder / "tiny_of_tasks.py").write_text(SOURCE)
    (folder / "conf" / "data").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "data" / "tiny.yaml").write_text(
        f"defaults: [base, _self_]\nsource: {{_target_: tiny_of_tasks.Tiny, kind: {task}}}\n"
        "channels: 3\nimage_size: [8, 8]\nnum_classes: null\n"
    )
    small = ["epochs=1", "data.batch_size=24", "data.split.val=4", "data.split.test=0", "device=cpu"]
    quiet = ["tracking.tensorboard=false", "tracking.progress=false"]
    return new_run(*TYPED[task], "data=tiny", f"task={task}", *small, *quiet, *typed)


def trained(run: RunDirectory) -> list[dict[str, str]]:
    """The rows of ``metrics.csv`` after the run."""
    assert execute(run, Trust((), everything=True), StopRequest()).exit_code == 0
    return list(csv.DictReader(run.metrics_file.read_text().splitlines()))


@pytest.mark.parametrize(("task", "loss"), [(task, loss) for task, losses in REFERENCES.items() for loss in losses])
def test_the_loss_of_an_epoch_is_that_of_torch(
    task: str, loss: str, new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    run = run_of(task, new_run, tmp_path, f"loss={loss}")
    parts = assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))
    inputs, targets = parts.splits.prepare(parts.splits.train_in_order.first(20))
    outputs = parts.model.train()(*inputs)
    targets = targets.float().reshape(outputs.shape) if task in ("binary", "multilabel", "regression") else targets
    expected = REFERENCES[task][loss](outputs, targets).item()
    assert float(trained(run)[0]["train/loss"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_classes_blended_by_mixup_are_trained_on(
    loss: str, new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    run = run_of("classification", new_run, tmp_path, f"loss={loss}", "regularization=mixup")
    assert trained(run)
