"""A run goes on with more processes or fewer."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest
import torch
from crew import after_step, assert_same, checkpoint, command, done, execute, send

from runner.runs.directory import RunDirectory

NewRun = Callable[..., RunDirectory]

SMALL = (
    "epochs=2",
    "tracking.tensorboard=false",
    "model.hidden=[16]",
    "optimizer=sgd",
    "optimizer.lr=0.05",
    "data.batch_size=150",
    "device=ddp",
    "name=same",
)
"""9 steps an epoch."""
WAYS = {"from 2 to 1": (2, 1), "from 1 to 2": (1, 2), "from 3 to 2": (3, 2), "from 2 to 3": (2, 3)}


def resume_and_stop(run: str, step: int) -> int:
    """Execute a run that is asked to stop after a step."""
    after_step(step, send(SIGTERM))
    return command("resume", run)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_goes_on_with_another_number_of_processes_is_the_same_but_for_rounding(
    new_run: NewRun, tmp_path: Path, way: str
) -> None:
    first, then = WAYS[way]
    alone, run = (new_run(*SMALL, "model.dropout=0") for _ in range(2))
    execute(alone, 1)
    codes, text = done(tmp_path, first, resume_and_stop, str(run.path), 4)
    assert codes == [75] * first, text
    assert 4 <= checkpoint(run)["progress"]["batch"] <= 6, "within the first epoch"
    text = execute(run, then)
    assert f"warning: since the run was last executed: processes: {first}, now {then}\n" in text
    assert_same(run, alone)


def test_metrics_of_the_running_epoch_count_what_processes_have_counted_that_are_no_more(
    new_run: NewRun, tmp_path: Path
) -> None:
    """The third process has counted a third of the first batches, and is not there when the epoch ends."""
    run = new_run(*SMALL, "model.dropout=0", "optimizer.lr=0.000001", "epochs=1", "max_steps=9")
    done(tmp_path, 3, resume_and_stop, str(run.path), 4)
    saved = checkpoint(run)
    of_three = [rank["metric"] for rank in saved["ranks"]]
    assert [len(states) for states in of_three] == [1, 1, 1]
    assert sum(int(states[0]["sums"].sum()) for states in of_three) == saved["scores"]["weight"] > 0
    execute(run, 2)
    # With such a small rate the model is the same throughout: what is counted is that of an untrained one.
    alone = new_run(*SMALL, "model.dropout=0", "optimizer.lr=0.000001", "epochs=1", "max_steps=9")
    execute(alone, 1)
    assert_same(run, alone)


def test_a_process_that_has_no_state_draws_from_the_seed_its_number_and_the_step(
    new_run: NewRun, tmp_path: Path
) -> None:
    typed = (*SMALL, "model.dropout=0.5")
    runs = [new_run(*typed) for _ in range(2)]
    for run in runs:
        done(tmp_path, 1, resume_and_stop, str(run.path), 4)
        execute(run, 2)
    one, other = (checkpoint(run) for run in runs)
    torch.testing.assert_close(one["model"], other["model"], rtol=0, atol=0)
    states = [rank["generators"]["torch"] for rank in one["ranks"]]
    assert not torch.equal(*states), "the processes draw different numbers"
