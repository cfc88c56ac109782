"""Whichever of the processes is asked to stop, all stop at the same step, and the run goes on exactly."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comparing import assert_identical, before, result
from crew import after_step, checkpoint, command, done, execute, is_rank, send, status_of

from runner.runs.directory import RunDirectory

NewRun = Callable[..., RunDirectory]

DROPOUT = (
    "device=ddp",
    "epochs=3",
    "tracking.images=0",
    "tracking.graph=false",
    "model.hidden=[16]",
    "model.dropout=0.3",
    "data.batch_size=200",
    "tracking.log_every=2",
    "name=same",
)
"""7 steps an epoch."""


def within_a_step(act: Callable[[], object]) -> None:
    from runner.training.gradient import EagerGradient

    before(EagerGradient, "add", act, number=10)


def within_validation(act: Callable[[], object]) -> None:
    from runner.training import loop
    from runner.training.scores import Scores

    before(loop, "evaluate", lambda: before(Scores, "add", act), number=2)


def while_data_is_read(act: Callable[[], object]) -> None:
    from runner.training import assemble

    before(assemble, "load_data", act)


def while_the_test_split_is_evaluated(act: Callable[[], object]) -> None:
    from runner.training import session
    from runner.training.scores import Scores

    before(session, "evaluate", lambda: before(Scores, "add", act))


def within_the_last_step(act: Callable[[], object]) -> None:
    after_step(21, act)


MOMENTS = {
    "within a step": within_a_step,
    "within validation": within_validation,
    "within the last step": within_the_last_step,
    "while data is read": while_data_is_read,
    "while the test split is evaluated": while_the_test_split_is_evaluated,
}


def resume_and_signal(run: str, moment: str, rank: int, number: int) -> int:
    """Execute a run, of which one process is sent a signal at some moment."""
    if is_rank(rank):
        MOMENTS[moment](send(number))
    return command("resume", run)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes come to that are left alone."""
    with pytest.MonkeyPatch.context() as patch:
        run = made(tmp_path_factory.mktemp("alone"), patch)
        execute(run, 2)
        return result(run)


def made(folder: Path, patch: pytest.MonkeyPatch) -> RunDirectory:
    from runner.config.compose import Composer
    from runner.config.paths import Places
    from runner.launch.single import freeze

    patch.chdir(folder)
    return freeze(Composer(Places.find(None, folder)).compose(DROPOUT))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_to_one_process_stops_all_and_the_run_ends_like_the_one_left_alone(
    new_run: NewRun, alone: dict[str, Any], tmp_path: Path, moment: str, rank: int
) -> None:
    run = new_run(*DROPOUT)
    codes, text = done(tmp_path, 2, resume_and_signal, str(run.path), moment, rank, signal.SIGTERM)
    assert codes == [75, 75], text
    assert f"; to go on: runner resume {run.path}\n" in text
    assert "Traceback" not in text + run.log_of_rank(1).read_text()
    assert status_of(run).state == "interrupted"
    if moment == "within a step":
        assert checkpoint(run)["progress"]["step"] in (10, 11, 12), "at the next step that both begin"
    execute(run, 2)
    assert_identical(result(run), alone)


def test_ctrl_c_is_told_by_the_exit_code_of_all(new_run: NewRun, tmp_path: Path) -> None:
    run = new_run(*DROPOUT)
    assert done(tmp_path, 2, resume_and_signal, str(run.path), "within a step", 1, signal.SIGINT)[0] == [130, 130]
