"""One run in this process: freeze it, execute it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config.compose import Composed
from runner.errors import UserError
from runner.runs import provenance
from runner.runs.directory import RunDirectory, create, timestamped
from runner.training.signals import StopRequest
from runner.trust import Trust

if TYPE_CHECKING:
    from runner.training.recorder import Judge


def freeze(composed: Composed, wanted: Path | None = None) -> RunDirectory:
    """Make the run directory of a composed configuration.

    Raises:
        UserError: If it cannot be made; nothing is left behind.
    """
    config = composed.config
    exactly = wanted is None and config["run_dir"] is not None
    if exactly:
        wanted = Path(config["run_dir"])
    return create(
        wanted or timestamped(Path(config["output_root"]), config["name"]),
        config,
        typed=composed.typed,
        choices=composed.choices,
        provenance=provenance.collect(["runner", *sys.argv[1:]], Path.cwd(), config["model"].get("weights")),
        exactly=exactly,
    )


def require_device(config: Mapping[str, Any]) -> None:
    """Make sure that the device of a configuration is there.

    Raises:
        UserError: If it is not.
    """
    from runner.training.devices import choose

    choose(config["device"]["kind"], config["device"]["precision"])


def execute_here(
    run: RunDirectory,
    trust: Trust,
    stop: StopRequest,
    change: Callable[[], None] = lambda: None,
    judge: "Judge | None" = None,
) -> int:
    """Execute a run directory in this process, after a change of its configuration; give the exit code."""
    from runner.training.execute import execute

    try:
        return execute(run, trust, stop, change, judge).exit_code
    except UserError:
        raise
    except OSError as error:
        print(f"{run.path} cannot be executed: {error}", file=sys.stderr)
        return 1
