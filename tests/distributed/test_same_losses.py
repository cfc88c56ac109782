"""One run by several processes is the run of one process, but for rounding."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from crew import assert_same, checkpoint, execute, rows
from torch.nn import functional

from runner.config.schema import RunConfig
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble

NewRun = Callable[..., RunDirectory]

PLAIN = ("epochs=2", "tracking.images=0", "tracking.graph=false", "optimizer=sgd", "optimizer.lr=0.05")
MLP = (*PLAIN, "model.hidden=[16]", "model.dropout=0")
"""On 1,257 training samples."""
CONVNET = (*PLAIN, "model=convnet", "model.widths=[4]")
UNET = (*PLAIN, "model=unet", "model.width=4", "model.levels=1", "model.batch_norm=false", "data.source.count=60")
TABLE = (*PLAIN, "data=tensors", "data.source.file=table.csv", "data.source.label=y", "task=regression")

CASES = {
    "a last batch of 57, which two processes cannot halve": (*MLP, "data.batch_size=150"),
    "a last batch of one sample": (*MLP, "data.batch_size=157"),
    "batches of five, of which one process has more than the other": (*MLP, "data.batch_size=5", "max_steps=7"),
    "accumulation, with a last window that is shorter": (*MLP, "data.batch_size=150", "training.accumulate=4"),
    "batches of an evaluation that are smaller than the processes": (*MLP, "data.eval_batch_size=1", "epochs=1"),
    "mixup": (*MLP, "data.batch_size=150", "regularization=[mixup]"),
    "averaged weights, penalties and clipping": (*MLP, "regularization=[ema,l1,l2,clip]", "data.batch_size=200"),
    "loader workers": (*MLP, "data.batch_size=150", "data.workers=1"),
    "sums that round": (*TABLE, "model=mlp", "model.dropout=0", "data.batch_size=20"),
    "mixup, cutmix and augmentation": (
        *CONVNET,
        "model.batch_norm=false",
        "data.batch_size=157",
        "regularization=[mixup,cutmix,augmentation]",
    ),
    "masks": (*UNET, "epochs=1"),
}


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> None:
    """101 rows of two features and a value, in the current folder."""
    values = torch.randn(101, 3, generator=torch.Generator().manual_seed(0)).tolist()
    lines = ["a,b,y", *(f"{a:.6f},{b:.6f},{y:.6f}" for a, b, y in values)]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("case", CASES)
def test_losses_metrics_and_weights_are_those_of_one_process(new_run: NewRun, case: str) -> None:
    alone, shared = new_run(*CASES[case]), new_run(*CASES[case], "device=ddp")
    execute(alone, 1)
    execute(shared, 2)
    assert_same(shared, alone)


def test_three_processes_share_a_batch_that_they_cannot_divide(new_run: NewRun) -> None:
    typed = (*MLP, "data.batch_size=157", "training.accumulate=2")
    alone, shared = new_run(*typed), new_run(*typed, "device=ddp")
    execute(alone, 1)
    execute(shared, 3)
    assert_same(shared, alone)


def test_batch_normalisation_is_over_all_processes_if_it_is_asked_for(new_run: NewRun) -> None:
    typed = (*CONVNET, "data.batch_size=150")
    alone, shared, apart = (
        new_run(*typed),
        *(new_run(*typed, "device=ddp", f"device.sync_batch_norm={on}") for on in ("true", "false")),
    )
    execute(alone, 1)
    execute(shared, 2)
    assert_same(shared, alone)
    execute(apart, 2)
    difference = abs(rows(apart)[1]["train/loss"] - rows(alone)[1]["train/loss"])
    assert difference > 100 * abs(rows(shared)[1]["train/loss"] - rows(alone)[1]["train/loss"])


def test_two_processes_take_the_steps_of_a_loop_written_by_hand(new_run: NewRun) -> None:
    run = new_run(*MLP, "device=ddp", "data.batch_size=150", "training.accumulate=2", "optimizer.momentum=0.9")
    parts = assemble(RunConfig.model_validate(run.config()), run.choices(), Console())
    model, losses = parts.model.train(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        batches, total = list(parts.splits.train.epoch(epoch)), 0.0
        for first, *second in zip(batches[::2], [*batches[1::2], None], strict=True):
            window = [batch for batch in (first, *second) if batch is not None]
            images = torch.cat([parts.splits.prepare(batch)[0][0] for batch in window])
            classes = torch.cat([batch.targets for batch in window])
            loss = functional.cross_entropy(model(images), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(classes)
        losses.append(total / 1257)
    execute(run, 2)
    torch.testing.assert_close(checkpoint(run)["model"], dict(model.state_dict()), rtol=1e-4, atol=1e-6)
    assert [row["train/loss"] for row in rows(run)[:2]] == pytest.approx(losses, rel=1e-5)
