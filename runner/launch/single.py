"""One run in this process: freeze it, execute it."""

import sys
from pathlib import Path

from runner.config.compose import Composed
from runner.config.paths import Places
from runner.runs import provenance
from runner.runs.directory import RunDirectory, create, timestamped


def freeze(composed: Composed, places: Places, wanted: Path | None = None) -> RunDirectory:
    """Make the run directory of a composed configuration, after the last check that needs torch: is the device there?

    Raises:
        UserError: If the device is missing or the directory cannot be made; nothing is left behind.
    """
    from runner.training.devices import choose

    config = composed.config
    choose(config["device"]["kind"], config["device"]["precision"])
    exactly = wanted is None and config["run_dir"] is not None
    if exactly:
        wanted = Path(config["run_dir"])
    return create(
        wanted or timestamped(Path(config["output_root"]), config["name"]),
        config,
        typed=composed.typed,
        choices=composed.choices,
        provenance=provenance.collect(["runner", *sys.argv[1:]], Path.cwd(), places.import_paths),
        exactly=exactly,
    )


def execute_here(run: RunDirectory) -> int:
    """Execute a run directory in this process; give the exit code."""
    from runner.training.execute import execute

    return execute(run).exit_code
