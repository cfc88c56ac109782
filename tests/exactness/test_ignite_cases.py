"""Ignite's cases of determinism (its tests/ignite/engine/test_deterministic.py), taken up from every iteration.

What is compared there, and here to the last bit: which samples come in which order, what augmentation makes of them,
the gradients and the weights of every iteration after the one that the run is taken up from.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparing import NewRun, assert_identical, copied_as_of, execute, result
from torch import Tensor

from runner.data.prepare import Prepare
from runner.runs.directory import RunDirectory
from runner.training.parts import Parts

Step = dict[str, list[Tensor]]

TINY = (
    *("device=cpu", "optimizer=sgd", "optimizer.momentum=0.9", "data.eval_batch_size=1000"),
    *("checkpoint.every_steps=1", "checkpoint.keep_last=1000", "tracking.log_every=1", "tracking.images=0"),
)
SAMPLERS = {
    "none": ["data.order=sequential"],
    "random": ["data.order=random"],
    "balanced": ["data.order=balanced"],
    "weighted": ["data.order=weighted", "data.class_weights=[1,2,3,4,5,5,4,3,2,1]"],
    "weighted without replacement": [
        *("data.order=weighted", "data.class_weights=[1,2,3,4,5,5,4,3,2,1]"),
        *("data.replacement=false", "data.num_samples=60"),
    ],
    "more than the data has": ["data.order=balanced", "data.num_samples=150"],
}
AUGMENTED = ["data.augment=[{_target_:runner.data.augment.Shift,pixels:2,padding:zeros}]"]


@contextlib.contextmanager
def noting() -> Iterator[list[Step]]:
    """What each update sees and does: a list that grows."""
    steps: list[Step] = []
    inputs: list[tuple[Prepare, list[Tensor]]] = []
    prepare, update = Prepare.__call__, Parts.update

    def noting_inputs(self: Prepare, batch: Any, epoch: int = 0, training: bool = False) -> Any:
        prepared = prepare(self, batch, epoch, training)
        if training:
            inputs.append((self, [batch.indices.clone(), prepared[0][0].clone()]))
        return prepared

    def noting_update(self: Parts, clip_norm: float | None) -> Tensor | None:
        weights = list(self.model.parameters())
        gradients = [weight.grad.clone() for weight in weights if weight.grad is not None]
        grad_norm = update(self, clip_norm)
        updated = [weight.detach().clone() for weight in weights]
        data = [tensor for prepare, tensors in inputs if prepare is self.splits.prepare for tensor in tensors]
        steps.append({"data": data, "gradients": gradients, "weights": updated})
        inputs.clear()
        return grad_norm

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Prepare, "__call__", noting_inputs)
        patched.setattr(Parts, "update", noting_update)
        yield steps


def executed(run: RunDirectory) -> list[Step]:
    with noting() as steps:
        assert execute(run).exit_code == 0
    return steps


def assert_same_from(whole: RunDirectory, steps: list[Step], checkpoints: list[str], place: Path) -> None:
    expected = result(whole)
    for name in checkpoints:
        taken_up = copied_as_of(whole, name, place / "taken-up")
        assert_identical(executed(taken_up), steps[int(name[5:13]) :], f"from {name}")
        assert_identical(result(taken_up), expected, f"from {name}")
        shutil.rmtree(taken_up.path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_taken_up_from_every_iteration_of_every_epoch_all_that_follows_is_the_same(
    new_run: NewRun, tmp_path: Path, sampler: list[str], workers: int
) -> None:
    whole = new_run(
        *(*TINY, *AUGMENTED, *sampler, "epochs=3", "data.batch_size=24", f"data.workers={workers}"),
        *("data.split.test=1640", "data.split.val=60", "model.hidden=[8]", "model.dropout=0.5"),
        *([] if workers == 0 else ["data.split.val=0", "training.test=false", "tracking.tensorboard=false"]),
    )
    steps = executed(whole)
    within = sorted(path.name for path in whole.checkpoints.glob("step-*.pt") if "epoch" not in path.name)
    assert len(within) == len(steps) >= 9
    assert_same_from(whole, steps, within if workers == 0 else within[1::3], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("augment", [[], AUGMENTED], ids=["as it is", "augmented"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradients_are_the_same_when_a_convolutional_network_is_taken_up_from_an_iteration_or_an_epoch(
    new_run: NewRun, tmp_path: Path, dropout: float, augment: list[str]
) -> None:
    """24 samples in batches of 4, five epochs, two workers; saved after the third epoch and after iteration 25."""
    whole = new_run(
        *(*TINY, *augment, "epochs=5", "data.batch_size=4", "data.workers=2", "optimizer.momentum=0"),
        *("data.split.test=1713", "data.split.val=60", "training.test=false"),
        *("data=digits", "model=convnet", "model.widths=[4,4]", "model.batch_norm=false", f"model.dropout={dropout}"),
    )
    steps = executed(whole)
    assert len(steps) == 30
    assert_same_from(whole, steps, ["step-00000018-epoch-3.pt", "step-00000025.pt"], tmp_path)
