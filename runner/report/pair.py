"""What two runs were made of, as far as it differs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.report.code import CodeDifference, code_difference
from runner.report.comparison import Comparison, differences
from runner.report.runs import Found
from runner.runs import provenance
from runner.runs.directory import RunDirectory


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two runs."""

    labels: tuple[str, str]
    settings: dict[str, tuple[Any, Any]]
    """Every group and setting that differs, with the value of each run."""
    code: CodeDifference | str
    """Of the code; in words where nothing is known to differ."""
    around: list[str]
    """Data, packages and hardware, in words: first the one run, then the other."""


def difference(found: Comparison, checkout: Path) -> Difference:
    """Between the two runs of a comparison.

    Args:
        found: Of two runs.
        checkout: A folder in the git checkout of the code.
    """
    one, other = found.rows
    records = _record(one.run), _record(other.run)
    executions = [record["executions"][-1] for record in records if record.get("executions")]
    without_git = [{**facts, "git": None} for facts in executions]  # which the code is about
    return Difference(
        labels=(one.label, other.label),
        settings=differences(one.facts, other.facts),
        code=code_difference(*records, checkout),
        around=provenance.differences(*without_git) if len(without_git) == 2 else [],
    )


def _record(run: Found) -> dict[str, Any]:
    """``provenance.json``; empty where it cannot be read."""
    try:
        found = json.loads(RunDirectory(run.path).provenance_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
