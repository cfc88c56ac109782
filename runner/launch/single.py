"""One run: freeze it, execute it; by this process, or by several that this one starts or was started with."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config.compose import Composed
from runner.config.fit_device import too_few_gpus, too_few_samples
from runner.errors import UserError
from runner.runs import provenance
from runner.runs.directory import RunDirectory, create, timestamped
from runner.runs.status import Status
from runner.training.signals import StopRequest
from runner.trust import Trust
from runner.typed import typed

if TYPE_CHECKING:
    from runner.parallel.meeting import Meeting
    from runner.training.execution import Execution
    from runner.training.records import Judge


def freeze(composed: Composed, wanted: Path | None = None) -> RunDirectory:
    """Make the run directory of a composed configuration.

    Raises:
        UserError: If it cannot be made; nothing is left behind.
    """
    config = composed.config
    return create(
        wanted or place_of(config),
        config,
        typed=composed.typed,
        choices=composed.choices,
        provenance=provenance.collect(["runner", *sys.argv[1:]], Path.cwd(), config["model"].get("weights")),
        exactly=wanted is None and config["run_dir"] is not None,
    )


def place_of(config: Mapping[str, Any]) -> Path:
    """Where the run directory of a configuration goes, if nobody else wants one there at the same instant."""
    if config["run_dir"] is not None:
        return Path(config["run_dir"])
    return timestamped(Path(config["output_root"]), config["name"])


def nothing_left(run: RunDirectory, status: Status, command: str) -> UserError:
    """What to tell whoever has a complete run go on, by ``runner COMMAND``."""
    if status.epochs is not None and status.epoch < status.epochs:
        why = f"it ended in epoch {status.epoch} of {status.epochs}, by early stopping or max_steps"
        return UserError(f"{run.path} is complete: {why}, and nothing is left to train")
    return UserError(
        f"{run.path} is complete: nothing is left to train",
        fix=f"{typed('runner', command, run.path, 'epochs=N')} for more",
    )


def processes_for(config: Mapping[str, Any], meeting: "Meeting | None" = None) -> int:
    """How many processes train a configuration, after making sure that their devices are there.

    Raises:
        UserError: If they are not, the processes are too many for a batch, or others than those that were started.
    """
    from runner.training.devices import choose, num_gpus

    settings = config["device"]
    kind = choose(settings["kind"], settings["precision"]).device.type
    asked, parallel = settings["processes"], settings["parallel"]
    if meeting is not None:
        number, starter = meeting.place.world_size, meeting.place.starter
        if parallel == "none":
            raise UserError(
                f"{starter} has started {number} processes, and device.parallel=none is for one",
                expected="device=ddp or device=fsdp, with which they train one model together",
                fix="device=ddp, or one process",
            )
        if asked not in ("auto", number):
            raise UserError(
                f"device.processes={asked}, and {starter} has started {number}", fix="device.processes=auto"
            )
    elif parallel == "none":
        return 1
    else:
        gpus = num_gpus() if kind == "cuda" else 1
        number = gpus if asked == "auto" else asked
        if kind == "cuda" and number > gpus:
            raise too_few_gpus(number, gpus)
    if kind == "mps" and number > 1:
        raise UserError(f"{number} processes cannot share the one GPU of device=mps", fix="device.kind=cpu")
    too_few = too_few_samples(number, config["data"]["batch_size"])
    if too_few is not None:
        raise too_few
    return number


def execute_here(
    run: RunDirectory,
    trust: Trust,
    stop: StopRequest,
    change: Callable[[], None] = lambda: None,
    judge: "Judge | None" = None,
    meeting: "Meeting | None" = None,
) -> int:
    """Execute a run directory from this process, after a change of its configuration; give the exit code.

    Args:
        run: The directory.
        trust: Whose code it may name.
        stop: Where a signal leaves its request.
        change: Called before anything is read, when nobody else executes the directory any more.
        judge: Asked after every epoch whether to go on.
        meeting: Of the processes that this one was started with; None: it starts those that it takes.

    Raises:
        UserError: If the request is wrong; nothing is written then.
    """
    from runner.training.execute import execute, train_here

    processes = 1

    def changed() -> None:
        nonlocal processes
        change()
        processes = processes_for(run.config(), meeting)

    def carry_out(execution: "Execution") -> int:
        execution.judge = judge
        if meeting is not None:
            execution.meeting = meeting
            meeting.announce(run.path, trust.record())
        elif processes > 1:
            from runner.launch.workers import supervise

            return supervise(execution, processes)
        elif run.config()["device"]["parallel"] != "none":
            execution.console.note("device   one process: there are not several GPUs (device.processes=N starts N)")
        return train_here(execution)

    try:
        return execute(run, trust, stop, changed, carry_out).exit_code
    except OSError as error:
        print(f"{run.path} cannot be executed: {error}", file=sys.stderr)
        return 1
