"""What two runs were made of, as far as it differs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.report.code import CodeDifference, code_difference
from runner.report.comparison import Comparison, differences
from runner.runs import provenance


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
    records = one.facts.provenance, other.facts.provenance
    executions = [record["executions"][-1] for record in records if record.get("executions")]
    without_git = [{**facts, "git": None} for facts in executions]  # which the code is about
    return Difference(
        labels=(one.label, other.label),
        settings=differences(one.facts, other.facts),
        code=code_difference(*records, checkout),
        around=provenance.differences(*without_git) if len(without_git) == 2 else [],
    )
