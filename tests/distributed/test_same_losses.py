"""One run by several processes is the run of one process, but for rounding."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest
import torch
from crew import after_step, assert_same, checkpoint, command, done, execute, rows, send, status_of
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

WEIGHTS = "loss.weight=[1,9,1,1,1,1,1,1,0.2,1]"

CASES = {
    "a last batch of 57, which two processes cannot halve": (*MLP, "data.batch_size=150"),
    "a last batch of one sample": (*MLP, "data.batch_size=157"),
    "batches of five, of which one process has more than the other": (*MLP, "data.batch_size=5", "max_steps=7"),
    "accumulation, with a last window that is shorter": (*MLP, "data.batch_size=150", "training.accumulate=4"),
    "batches of an evaluation that are smaller than the processes": (*MLP, "data.eval_batch_size=1", "epochs=1"),
    "mixup": (*MLP, "data.batch_size=150", "regularization=[mixup]"),
    "averaged weights, penalties and clipping": (*MLP, "regularization=[ema,l1,l2,clip]", "data.batch_size=200"),
    "class weights": (*MLP, "data.batch_size=150", WEIGHTS),
    "class weights, accumulation and a last batch of one sample": (
        *(*MLP, "data.batch_size=157", "training.accumulate=3", WEIGHTS),
    ),
    "samples that do not count, among them all that a process has": (
        *(*MLP, "data.batch_size=4", "loss.ignore_index=3", "max_steps=60", "epochs=1"),
    ),
    "focal loss": (*MLP, "data.batch_size=4", "loss=focal", "loss.ignore_index=3", "max_steps=60", "epochs=1"),
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


ODD = """
import torch
from torch import nn

class Odd(nn.Module):
    '''Has a weight that it does not use, a second output in training, and no answer to one of the samples.'''

    def __init__(self, has_answer):
        super().__init__()
        self.linear, self.other, self.unused = nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(3, 3)
        self.has_answer = has_answer

    def forward(self, values):
        outputs = self.linear(values)
        if self.training and not self.has_answer:
            outputs = torch.where(values[:, :1] > 90, torch.nan, outputs)
        return (outputs, self.other(values)) if self.training else outputs
"""


@pytest.fixture
def odd(tmp_path: Path) -> tuple[str, ...]:
    """The overrides that choose that model, and data with that sample."""
    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "odd.yaml").write_text("_target_: odd.Odd\nhas_answer: true\n")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    lines[40] = "99,0,0"
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    return (
        *TABLE,
        "model=odd",
        "adapt.output_weights=[0.5]",
        "data.batch_size=20",
        "data.normalize=null",
        "optimizer.lr=1e-5",
    )


def test_a_weight_that_is_not_used_and_auxiliary_outputs_are_taken_as_they_are(
    new_run: NewRun, odd: tuple[str, ...]
) -> None:
    alone, shared = new_run(*odd), new_run(*odd, "device=ddp")
    execute(alone, 1)
    execute(shared, 2)
    assert_same(shared, alone)
    torch.testing.assert_close(
        checkpoint(shared)["model"]["unused.weight"], checkpoint(alone)["model"]["unused.weight"]
    )


def test_an_update_without_a_finite_loss_in_one_process_is_left_out_in_all(
    new_run: NewRun, odd: tuple[str, ...]
) -> None:
    typed = (*odd, "model.has_answer=false", "training.nonfinite=skip")
    alone, shared = new_run(*typed), new_run(*typed, "device=ddp")
    execute(alone, 1)
    execute(shared, 2)
    assert [row["train/skipped"] for row in rows(shared)[:2]] == [1, 1]
    assert_same(shared, alone)


def test_a_loss_that_is_not_finite_is_told_with_step_and_samples_whichever_process_has_it(
    new_run: NewRun, odd: tuple[str, ...], tmp_path: Path
) -> None:
    typed = (*odd, "model.has_answer=false", "tracking.log_every=1", "data.batch_size=8")
    alone, shared = new_run(*typed), new_run(*typed, "device=ddp")
    assert done(tmp_path, 1, command, "resume", str(alone.path))[0] == [1]
    codes, text = done(tmp_path, 2, command, "resume", str(shared.path))
    assert codes == [1, 1]
    (told,) = [line for line in str(status_of(shared).error).splitlines() if "the loss of step" in line]
    assert told in str(status_of(alone).error)
    listed = text.partition("the batch of 4 samples ")[2].partition("\n")[0]
    assert "39" in listed.split(", "), "one of those of the process that has it"


def test_checkpoints_by_the_clock_are_saved_by_all_at_once(new_run: NewRun) -> None:
    run = new_run(
        *MLP, "device=ddp", "data.batch_size=20", "checkpoint.every_minutes=0.001", "checkpoint.keep_last=1000"
    )
    execute(run, 2)
    within = [path for path in run.checkpoints.glob("step-*.pt") if "epoch" not in path.name]
    assert within, "between two epochs"


def test_half_precision_is_scaled_alike_in_all_processes(new_run: NewRun) -> None:
    typed = (*MLP, "data.batch_size=150", "device.precision=fp16")
    alone, shared = new_run(*typed), new_run(*typed, "device.parallel=ddp")
    execute(alone, 1)
    execute(shared, 2)
    assert checkpoint(shared)["scaler"]["scale"] == checkpoint(alone)["scaler"]["scale"]
    assert rows(shared)[1]["train/loss"] == pytest.approx(rows(alone)[1]["train/loss"], rel=1e-3)


@pytest.mark.slow
def test_metrics_of_torchmetrics_are_those_of_all_samples(new_run: NewRun, tmp_path: Path) -> None:
    typed = (
        *TABLE,
        "model=mlp",
        "model.dropout=0",
        "data.batch_size=20",
        "task.metrics=[pearson_corrcoef,spearman_corrcoef]",
    )
    alone, shared = new_run(*typed), new_run(*typed, "device=ddp")
    execute(alone, 1)
    assert done(tmp_path, 3, resume_and_stop, str(shared.path), 2)[0] == [75, 75, 75]
    execute(shared, 2)
    assert_same(shared, alone)


def resume_and_stop(run: str, step: int) -> int:
    """Execute a run that is asked to stop after a step."""
    after_step(step, send(SIGTERM))
    return command("resume", run)
