"""The status of a run whose ``status.json`` was lost, from what else is in its directory."""

import csv
import json
from contextlib import suppress
from datetime import datetime

from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.status import Status


def read_status(run: RunDirectory) -> Status:
    """What ``status.json`` says; or what can be told without it.

    Epoch, step and best value are not looked for: a run that goes on takes them from its checkpoint.
    """
    return read_or_rebuild(run)[0]


def read_or_rebuild(run: RunDirectory) -> tuple[Status, str | None]:
    """The same, for whoever writes the status anew; and a line on what was wrong with it."""
    try:
        return Status.read(run.status_file), None
    except UserError as error:
        return _rebuilt(run), f"{error.what}; it is written anew"


def _rebuilt(run: RunDirectory) -> Status:
    made = datetime.fromtimestamp(run.config_file.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    status = Status(state="interrupted", created=made)
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):  # whatever else may be damaged too
        record = json.loads(run.provenance_file.read_text())
        status.created = str(record["created"])
        status.executions = len(record["executions"])
        status.started = str(record["executions"][0]["started"]) if record["executions"] else None
    with suppress(OSError, ValueError, TypeError, csv.Error), run.metrics_file.open(newline="") as file:
        status.seconds = round(sum(float(row.get("seconds") or 0) for row in csv.DictReader(file)), 3)
    return status
