"""The configuration of a run directory, which another version of this program may have made."""

import json
from typing import Any

from runner import __version__
from runner.config.check import mistakes
from runner.config.origin import Origin
from runner.config.paths import Places
from runner.config.schema import RunConfig
from runner.errors import UserError
from runner.runs.directory import RunDirectory


def frozen(run: RunDirectory) -> RunConfig:
    """The configuration of a run.

    Raises:
        UserError: If it is none of this version: with each key, and the version that made the run.
    """
    config = run.config()
    wrong = mistakes(config, Origin(Places.shipped(), run.choices(), {}))
    if wrong:
        raise UserError(
            f"{run.config_file} is no configuration of this version, {__version__}: "
            + "; ".join(error.what for error in wrong),
            where=made_by(run),
            expected="the settings that runner train --cfg job shows",
            fix=f"runner of that version, or those lines of {run.config_file} as this one has them",
        )
    return RunConfig.model_validate(config)


def made_by(run: RunDirectory) -> str:
    """Which version executed a run last."""
    try:
        record: dict[str, Any] = json.loads(run.provenance_file.read_text(encoding="utf-8"))
        version = record["executions"][-1]["packages"]["experiment-runner"]
    except (OSError, ValueError, LookupError):
        return "the run does not say which version made it"
    return f"the run was made by version {version}"
