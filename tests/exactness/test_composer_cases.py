"""Composer's cases of taking a run up again (TestCheckpointResumption in its tests/trainer/test_checkpoint.py).

Two epochs of five updates, each of two micro-batches; Adam, with a learning rate that falls by 0.9 each epoch. The run
is saved at some interval, a second one is taken up from one of these checkpoints, and the two must hold the same in a
later checkpoint, at a tolerance of 0.
"""

import os
from pathlib import Path

import pytest
from comparing import NewRun, assert_identical, checkpoint, copied_as_of, execute, result

TWO_EPOCHS_OF_FIVE = (
    *("epochs=2", "data.batch_size=10", "training.accumulate=2", "data.split.test=1640", "data.split.val=60"),
    *("data.drop_last=true", "model.hidden=[8]", "model.dropout=0.5", "tracking.log_every=1"),
    *("optimizer=adam", "scheduler=step", "scheduler.epochs=1", "scheduler.gamma=0.9"),
    "checkpoint.keep_last=100",
)
EACH_EPOCH: tuple[str, ...] = ()
EACH_STEP, EACH_SECOND_STEP = ("checkpoint.every_steps=1",), ("checkpoint.every_steps=2",)

END_OF_1, END_OF_2 = "step-00000005-epoch-1.pt", "step-00000010-epoch-2.pt"


@pytest.mark.parametrize(
    ("saved", "taken_up", "compared"),
    [
        pytest.param((*EACH_EPOCH, "seed=random"), END_OF_1, "last.pt", id="a seed that nobody chose"),
        pytest.param(EACH_EPOCH, END_OF_1, END_OF_2, id="the end of an epoch"),
        pytest.param((*EACH_EPOCH, "without hard links"), END_OF_1, END_OF_2, id="another kind of files"),
        pytest.param(EACH_SECOND_STEP, "step-00000004.pt", "step-00000008.pt", id="within an epoch"),
        pytest.param(EACH_STEP, "step-00000005.pt", "step-00000008.pt", id="after the last step of an epoch"),
        pytest.param(EACH_SECOND_STEP, "step-00000006.pt", "step-00000008.pt", id="within the epoch after"),
    ],
)
def test_a_run_taken_up_from_a_checkpoint_saves_the_same_as_the_one_that_went_on(
    new_run: NewRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    saved: tuple[str, ...],
    taken_up: str,
    compared: str,
) -> None:
    typed = [*TWO_EPOCHS_OF_FIVE, *(text for text in saved if text.startswith("checkpoint."))]
    if "seed=random" in saved:
        typed.append(f"seed={int.from_bytes(os.urandom(4))}")
    if "without hard links" in saved:
        monkeypatch.setattr(os, "link", _refused)
    first = new_run(*typed)
    assert execute(first).exit_code == 0
    interval = 2 if saved is EACH_SECOND_STEP else 1
    within = 10 // interval if saved in (EACH_STEP, EACH_SECOND_STEP) else 0
    assert len(list(first.checkpoints.iterdir())) == within + 2 + len(("last.pt", "best.pt"))

    second = copied_as_of(first, taken_up, tmp_path / "second")
    assert execute(second).exit_code == 0
    assert_identical(checkpoint(second.checkpoints / compared), checkpoint(first.checkpoints / compared))
    assert_identical(result(second), result(first))


def _refused(*_: object) -> None:
    raise OSError("this file system has none")
