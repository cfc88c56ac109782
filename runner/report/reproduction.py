"""Comparing a run with its repetition."""

import csv
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.runs.checkpoints import DamagedCheckpointError, read_checkpoint
from runner.runs.directory import RunDirectory
from runner.runs.provenance import differences
from runner.runs.status import Status
from runner.runs.store import load_checkpoint
from runner.typed import typed

_OF_TIME = {"seconds"}


def require_comparable(run: RunDirectory) -> None:
    """Make sure that a run has come to its end and that its records are whole, before it is trained once more for them.

    Raises:
        UserError: If not.
    """
    state = Status.read(run.status_file).state
    if state != "completed":
        raise UserError(
            f"{run.path} is {state}: only a complete run can be reproduced", fix=typed("runner", "resume", run.path)
        )
    if not run.metrics_file.is_file():
        raise UserError(f"{run.metrics_file} is not there: a repetition has nothing to be compared with")
    for name in _checkpoints(run):
        try:
            read_checkpoint(run.checkpoints / f"{name}.pt")
        except DamagedCheckpointError as error:
            raise UserError(
                f"{run.checkpoints / name}.pt is damaged: {error}", fix="delete it: what is left is compared"
            ) from None


def extent(run: RunDirectory) -> str:
    """What of a run is compared, in words: many delete checkpoints that they do not need any more."""
    if _checkpoints(run):
        return "in every metric and every weight"
    return f"in every metric; no weight was compared, as {run.path} has no checkpoints any more"


def _checkpoints(run: RunDirectory) -> list[str]:
    return [name for name in ("last", "best") if (run.checkpoints / f"{name}.pt").exists()]


def compare(old: RunDirectory, new: RunDirectory) -> str | None:
    """None when two runs are identical; otherwise the first difference, and what differed around them.

    Raises:
        UserError: If a checkpoint is missing or damaged.
    """
    difference = _first_metric(old, new) or _first_value(old, new)
    if difference is None:
        return None
    around = differences(_execution(old), _execution(new)) + _changes(old)
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


def _first_value(old: RunDirectory, new: RunDirectory) -> str | None:
    """The first value in the last and the best checkpoint that is not the same to the last bit."""
    for name in _checkpoints(old):
        before, now = (load_checkpoint(run.checkpoints, name) for run in (old, new))
        for state in (before, now):
            del state["tracker"]  # sizes of files that hold times
            for rank in state["ranks"]:
                del rank["generators"]  # one for each GPU that is there
        path = _first_difference(before, now, "")
        if path is not None:
            kind, _, rest = path.partition(".")
            what = f"the weight {rest}" if kind == "model" else path
            return f"the metrics agree, but not {what} in {name}.pt"
    return None


def _first_difference(one: Any, other: Any, path: str) -> str | None:
    """Where two states differ first: the keys that lead there."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        inside = ((one[key], other[key], str(key)) for key in one)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        inside = ((left, right, str(number)) for number, (left, right) in enumerate(zip(one, other, strict=True)))
    else:
        return None if _is_same(one, other) else path
    found = (_first_difference(left, right, f"{path}.{key}" if path else key) for left, right, key in inside)
    return next((path for path in found if path is not None), None)


def _is_same(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        bits = (tensor.contiguous().view(-1).view(torch.uint8) for tensor in (one, other))
        return torch.equal(*bits)  # of the bits: for torch, 0 equals -0 and NaN is not itself
    return type(one) is type(other) and (one == other or (one != one and other != other))


def _changes(run: RunDirectory) -> list[str]:
    """What was changed when the old run was resumed: the new one had it from its beginning."""
    record = run.overrides()
    return [
        f"the old run was resumed with {' '.join(resumed['with'])}, which the new one had from its start"
        for resumed in record.get("resumed", [])
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _execution(run: RunDirectory) -> dict[str, Any]:
    last: dict[str, Any] = run.provenance()["executions"][-1]
    return last
