"""Comparing a run with its repetition."""

import csv
import json
from pathlib import Path
from typing import Any

from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.runs.provenance import differences

_OF_TIME = {"seconds"}


def compare(old: RunDirectory, new: RunDirectory) -> str | None:
    """None when two runs are identical; otherwise the first difference, and what differed around them."""
    difference = _first_metric(old, new) or _first_weight(old, new)
    if difference is None:
        return None
    around = differences(_execution(old), _execution(new))
    lines = [f"not identical: {difference}", f"  old:      {old.path}", f"  new:      {new.path}"]
    lines += [f"  differs:  {line}" for line in around] or [
        "  differs:  nothing that is recorded; see docs/guarantees.md"
    ]
    return "\n".join(lines)


def _first_metric(old: RunDirectory, new: RunDirectory) -> str | None:
    old_rows, new_rows = _rows(old.metrics_file), _rows(new.metrics_file)
    for before, now in zip(old_rows, new_rows, strict=False):
        for name in before:
            if name not in _OF_TIME and before[name] != now.get(name):
                return f"epoch {before['epoch']}, {name}: {before[name]} before, {now.get(name)} now"
    if len(old_rows) != len(new_rows):
        return f"{len(old_rows)} rows of metrics before, {len(new_rows)} now"
    return None


def _first_weight(old: RunDirectory, new: RunDirectory) -> str | None:
    import torch

    before = read_checkpoint(old.checkpoints / "last.pt")["model"]
    now = read_checkpoint(new.checkpoints / "last.pt")["model"]
    for name, tensor in before.items():
        if name not in now or not torch.equal(tensor, now[name]):
            return f"the metrics agree, but not the weight {name}"
    return None


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _execution(run: RunDirectory) -> dict[str, Any]:
    last: dict[str, Any] = json.loads(run.provenance_file.read_text())["executions"][-1]
    return last
