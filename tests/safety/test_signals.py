"""Requests to stop, whenever they come: a run saves, says how to go on, leaves no process behind and loses nothing."""

import csv
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import (
    after_step,
    are_gone,
    before,
    checkpoint,
    descendants,
    done,
    kill,
    result,
    resume,
    send,
    started,
    status_of,
    train,
)

EXIT_CODES = {"SIGTERM": 75, "SIGUSR1": 75, "SIGHUP": 75, "SIGINT": 130}


def signal_when(moment: str, number: int, *overrides: str) -> int:
    """Train, and be sent a signal at some moment."""
    MOMENTS[moment](send(number))
    return train(*overrides)


def while_data_is_read(act: Callable[[], None]) -> None:
    from runner.training import assemble

    before(assemble, "load_data", act)


def while_the_directory_is_made(act: Callable[[], None]) -> None:
    from runner.launch import single

    before(single, "create", act)


def while_the_model_is_made(act: Callable[[], None]) -> None:
    from runner.training import model

    before(model, "initialise", act)


def within_a_step(act: Callable[[], None]) -> None:
    from runner.training.gradient import EagerGradient

    before(EagerGradient, "add", act, number=6)


def within_validation(act: Callable[[], None]) -> None:
    from runner.training import loop
    from runner.training.scores import Scores

    before(loop, "evaluate", lambda: before(Scores, "add", act), number=2)


def while_a_checkpoint_is_written(act: Callable[[], None]) -> None:
    from runner.runs import store

    before(store, "give_name", act, number=2)


def within_the_last_step(act: Callable[[], None]) -> None:
    after_step(12, act)


def while_the_test_split_is_evaluated(act: Callable[[], None]) -> None:
    from runner.training import session

    before(session, "evaluate", act)


def while_the_run_is_summed_up(act: Callable[[], None]) -> None:
    from runner.tracking.tensorboard import TensorBoard

    before(TensorBoard, "hparams", act)


MOMENTS: dict[str, Callable[[Callable[[], None]], None]] = {
    "while the directory is made": while_the_directory_is_made,
    "while data is read": while_data_is_read,
    "while the model is made": while_the_model_is_made,
    "within a step": within_a_step,
    "within validation": within_validation,
    "while a checkpoint is written": while_a_checkpoint_is_written,
    "within the last step": within_the_last_step,
    "while the test split is evaluated": while_the_test_split_is_evaluated,
    "while the run is summed up": while_the_run_is_summed_up,
}


@pytest.mark.parametrize(
    ("moment", "name"),
    [(moment, "SIGTERM") for moment in MOMENTS]
    + [("within a step", name) for name in ("SIGUSR1", "SIGHUP", "SIGINT")]
    + [("while data is read", "SIGINT")],
)
def test_a_run_that_is_asked_to_stop_says_how_to_go_on_and_ends_like_the_run_left_alone(
    home: Path, alone: dict[str, Any], moment: str, name: str
) -> None:
    code, text = done(home, signal_when, moment, getattr(signal, name))
    assert code == EXIT_CODES[name], text
    assert "; to go on: runner resume run\n" in text
    assert "Traceback" not in text
    status = status_of(home / "run")
    assert (status.state, status.error) == ("interrupted", None)
    if moment in ("while the directory is made", "while data is read", "while the model is made"):
        assert "stopped before the first step" in text
        assert status.step == 0
    code, text = done(home, resume)
    assert code == 0, text
    assert result(home / "run") == alone


def test_what_was_done_since_the_last_checkpoint_is_saved(home: Path) -> None:
    assert done(home, signal_when, "within a step", signal.SIGTERM)[0] == 75
    assert checkpoint(home / "run" / "checkpoints" / "last.pt")["progress"]["step"] == 6


def hang_up_as_with_nohup() -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return signal_when("within a step", signal.SIGHUP)


def test_a_run_under_nohup_goes_on_when_its_terminal_is_closed(home: Path, alone: dict[str, Any]) -> None:
    assert done(home, hang_up_as_with_nohup)[0] == 0
    assert result(home / "run") == alone


def signal_twice(first: int) -> int:
    """Be sent another signal within a step that lasts for ever."""
    from runner.training.gradient import EagerGradient

    def stand_still() -> None:
        Path("processes").write_text(" ".join(map(str, descendants(os.getpid()))))
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1000)

    before(EagerGradient, "add", stand_still, number=7)
    return train("data.workers=2")


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
def test_ctrl_c_after_a_request_leaves_at_once_and_what_was_saved_is_whole(
    home: Path, alone: dict[str, Any], first: str
) -> None:
    code, text = done(home, signal_twice, getattr(signal, first))
    assert code == 130
    assert "left at once; to go on from the last checkpoint: runner resume run\n" in text
    assert "Traceback" not in text
    assert status_of(home / "run").state == "interrupted"
    assert checkpoint(home / "run" / "checkpoints" / "last.pt")["progress"]["step"] == 4
    processes = {int(number) for number in (home / "processes").read_text().split()}
    assert len(processes) == 4, "two workers for training, two for validation"
    assert are_gone(processes)
    assert done(home, resume, "data.workers=0")[0] == 0
    assert result(home / "run") == alone


def signal_twice_while_writing() -> int:
    """Be sent two Ctrl-C while the checkpoint of the second epoch is being written, which takes its time."""
    from runner.runs import checkpoints

    def write_slowly() -> None:
        time.sleep(0.5)
        send(signal.SIGINT)()
        time.sleep(0.2)
        send(signal.SIGINT)()
        time.sleep(0.5)

    before(checkpoints, "replacing", write_slowly, number=2)
    return train()


def test_two_ctrl_c_while_a_checkpoint_is_written_leave_it_whole(home: Path, alone: dict[str, Any]) -> None:
    code, text = done(home, signal_twice_while_writing)
    assert (code, "Traceback" in text) == (130, False), text
    assert checkpoint(home / "run" / "checkpoints" / "last.pt")["progress"]["step"] == 8
    assert done(home, resume)[0] == 0
    assert result(home / "run") == alone


def slow_to_load(pids: Path) -> None:
    """From the sixth batch on, loader workers take their time; each leaves its number."""
    from runner.data.loader import TensorStore

    gather = TensorStore.batch

    def slowly(self: TensorStore, ids: Any) -> Any:
        (pids / str(os.getpid())).touch()
        if len(list(pids.iterdir())) == 2:
            time.sleep(0.3)
        return gather(self, ids)

    TensorStore.batch = slowly  # type: ignore[method-assign]


def train_with_slow_workers(pids: Path, *overrides: str) -> int:
    slow_to_load(pids)
    return train("data.workers=2", *overrides)


@pytest.mark.parametrize("persistent", ["true", "false"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"])
def test_a_signal_to_the_whole_process_group_stops_the_run_and_not_its_workers(
    home: Path, alone: dict[str, Any], tmp_path: Path, name: str, persistent: str
) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    with started(home, train_with_slow_workers, pids, f"data.persistent_workers={persistent}") as child:
        while len(list(pids.iterdir())) < 2:
            assert child.process.is_alive(), child.text()
            time.sleep(0.01)
        processes = descendants(child.pid)
        time.sleep(0.1)
        os.killpg(child.pid, getattr(signal, name))
        assert child.wait() == EXIT_CODES[name], child.text()
    assert "; to go on: runner resume run\n" in child.text()
    assert "Traceback" not in child.text()
    assert "Error" not in child.text()
    assert processes
    assert are_gone(processes)
    code, text = done(home, resume, "data.workers=0", "data.persistent_workers=true")
    assert code == 0, text
    assert result(home / "run") == alone


def signal_group_while_workers_start() -> int:
    """Be sent a signal, with the whole process group, each time when a worker has just been started."""
    from multiprocessing.process import BaseProcess

    start = BaseProcess.start

    def start_and_signal(self: BaseProcess) -> None:
        start(self)
        os.killpg(0, signal.SIGTERM)

    BaseProcess.start = start_and_signal  # type: ignore[method-assign]
    return train("data.workers=3")


def test_workers_that_have_just_been_started_live_through_a_signal_too(home: Path, alone: dict[str, Any]) -> None:
    code, text = done(home, signal_group_while_workers_start)
    assert (code, "stopped after step 1, saved; to go on: runner resume run\n" in text) == (75, True), text
    assert done(home, resume, "data.workers=0")[0] == 0
    assert result(home / "run") == alone


def signal_while_compiling() -> int:
    """Be sent a signal while the first step is being compiled."""
    real = torch.compile

    def compiled(model: Any, **options: Any) -> Any:
        return real(model, backend=backend, **options)

    def backend(graph: Any, inputs: Any) -> Any:
        from torch._inductor.compile_fx import compile_fx

        send(signal.SIGTERM)()
        return compile_fx(graph, inputs)

    torch.compile = compiled
    return train("device.compile=true")


@pytest.mark.slow
def test_a_signal_while_the_model_is_compiled_stops_the_run_after_that_step(home: Path) -> None:
    with started(home, signal_while_compiling) as child:
        processes: set[int] = set()
        while child.process.is_alive():
            processes |= descendants(child.pid)
            time.sleep(0.05)
        assert child.wait() == 75, child.text()
    assert checkpoint(home / "run" / "checkpoints" / "last.pt")["progress"]["step"] == 1
    assert "stopped after step 1, saved; to go on: runner resume run\n" in child.text()
    assert are_gone(processes)


def train_and_look_at_handlers() -> int:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    return train() or [signal.getsignal(number) for number in numbers] != handlers


def test_after_a_run_signals_mean_what_they_meant_before(home: Path) -> None:
    assert done(home, train_and_look_at_handlers)[0] == 0


def slow_and_stopped() -> int:
    """Train, with a pause in the second step of epoch 2, and then be asked to stop."""

    def pause_and_send() -> None:
        time.sleep(0.5)
        send(signal.SIGTERM)()

    after_step(6, pause_and_send)
    return train()


def test_the_time_of_an_epoch_that_was_stopped_counts_from_its_beginning(home: Path) -> None:
    assert done(home, slow_and_stopped)[0] == 75
    assert status_of(home / "run").epoch_seconds >= 0.5
    assert done(home, resume)[0] == 0
    with (home / "run" / "metrics.csv").open(newline="") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file) if row["seconds"]]
    assert seconds[1] >= 0.5
    assert status_of(home / "run").epoch_seconds == 0, "counted once: epoch 3 has a time of its own"


def slow_and_killed() -> int:
    """Train, with a pause in the second step of epoch 2, and be killed after the first one of epoch 3."""
    after_step(6, lambda: time.sleep(0.5))
    after_step(11, kill)
    return train()


def test_the_time_of_a_run_that_was_killed_counts_up_to_what_it_told_last(home: Path) -> None:
    assert done(home, slow_and_killed)[0] == -signal.SIGKILL
    seconds = status_of(home / "run").seconds
    assert seconds >= 0.5
    assert done(home, resume)[0] == 0
    assert status_of(home / "run").seconds > seconds
