"""A run and its repetition: identical, or the first difference."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from runner.errors import UserError
from runner.report.reproduction import compare, extent, require_comparable
from runner.runs.checkpoints import write_checkpoint
from runner.runs.directory import RunDirectory, create
from runner.runs.status import Status

STATE: dict[str, Any] = {
    "progress": {"step": 14, "results": {"train": {"loss": 0.5}}},
    "model": {"net.weight": torch.arange(4.0), "net.bias": torch.zeros(2)},
    "optimizer": {"state": {0: {"exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 0.1}]},
    "ranks": [{"generators": {"cuda": []}, "metric": [{"sums": torch.zeros(2)}]}],
    "tracker": {"rows": 2},
}
FACTS = {"git": None, "packages": {"torch": "2.11.0"}, "threads": 2, "data": "a"}
ROWS = ["epoch,step,train/loss,seconds", "1,7,0.75,1.5", "2,14,0.5,1.25"]


def make(folder: Path) -> RunDirectory:
    """A complete run of two epochs."""
    run = create(folder, {"seed": 0}, typed=[], choices={}, provenance={"executions": [FACTS]})
    run.metrics_file.write_text("\n".join(ROWS) + "\n")
    for name in ("last", "best"):
        write_checkpoint(run.checkpoints / f"{name}.pt", STATE)
    Status(state="completed").write(run.status_file)
    return run


@pytest.fixture
def old(tmp_path: Path) -> RunDirectory:
    return make(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path, old: RunDirectory) -> RunDirectory:
    shutil.copytree(old.path, tmp_path / "new")
    return RunDirectory(tmp_path / "new")


def change_row(run: RunDirectory, row: int, name: str, value: str) -> None:
    with run.metrics_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[row][name] = value
    with run.metrics_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def change_state(run: RunDirectory, name: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    state = torch.load(run.checkpoints / f"{name}.pt", weights_only=True)
    edit(state)
    write_checkpoint(run.checkpoints / f"{name}.pt", state)


def first_line(old: RunDirectory, new: RunDirectory) -> str:
    told = compare(old, new)
    assert told is not None
    return told.splitlines()[0]


def test_a_copy_is_identical(old: RunDirectory, new: RunDirectory) -> None:
    assert compare(old, new) is None


def test_times_the_sizes_of_files_and_the_number_of_gpus_do_not_count(old: RunDirectory, new: RunDirectory) -> None:
    change_row(new, 0, "seconds", "99")
    change_state(new, "last", lambda state: state["tracker"].update(rows=9))
    change_state(new, "last", lambda state: state["ranks"][0]["generators"]["cuda"].append(torch.zeros(1)))
    assert compare(old, new) is None


def test_the_first_metric_that_differs_is_told_with_both_values(old: RunDirectory, new: RunDirectory) -> None:
    change_row(new, 1, "train/loss", "0.25")
    assert first_line(old, new) == "not identical: epoch 2, train/loss: 0.5 before, 0.25 now"
    change_row(old, 0, "train/loss", "0.8")
    assert first_line(old, new) == "not identical: epoch 1, train/loss: 0.8 before, 0.75 now"


def test_a_row_too_few_is_told(old: RunDirectory, new: RunDirectory) -> None:
    new.metrics_file.write_text("\n".join(ROWS[:2]) + "\n")
    assert first_line(old, new) == "not identical: 2 rows of metrics before, 1 now"


NEXT = torch.nextafter(torch.tensor(3.0), torch.tensor(4.0))

STATES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "the last bit of a weight": (lambda state: state["model"]["net.weight"][3].copy_(NEXT), "the weight net.weight"),
    "the sign of a zero": (lambda state: state["model"]["net.bias"].neg_(), "the weight net.bias"),
    "a type": (lambda state: state["model"].update({"net.bias": torch.zeros(2, dtype=torch.int32)}), "net.bias"),
    "a shape": (lambda state: state["model"].update({"net.bias": torch.zeros(3)}), "the weight net.bias"),
    "a weight more": (lambda state: state["model"].update(more=torch.zeros(1)), "the weight "),
    "the optimizer": (lambda state: state["optimizer"]["state"][0]["exp_avg"].add_(1), "optimizer.state.0.exp_avg"),
    "a number": (lambda state: state["optimizer"]["param_groups"][0].update(lr=0.2), "optimizer.param_groups.0.lr"),
    "a sum": (lambda state: state["ranks"][0]["metric"][0]["sums"].add_(1), "ranks.0.metric.0.sums"),
    "a NaN": (lambda state: state["progress"]["results"]["train"].update(loss=float("nan")), "progress.results.train"),
}


@pytest.mark.parametrize("name", ["last", "best"])
@pytest.mark.parametrize(("edit", "told"), STATES.values(), ids=STATES)
def test_any_bit_of_a_checkpoint_that_differs_is_told(
    old: RunDirectory, new: RunDirectory, edit: Callable[[dict[str, Any]], Any], told: str, name: str
) -> None:
    change_state(new, name, edit)
    line = first_line(old, new)
    assert line.startswith("not identical: the metrics agree, but not ")
    assert told in line
    assert line.endswith(f" in {name}.pt")


def test_nan_equals_nan(old: RunDirectory, new: RunDirectory) -> None:
    for run in (old, new):
        change_state(run, "last", lambda state: state["model"]["net.bias"].fill_(torch.nan))
        change_state(run, "last", lambda state: state["progress"].update(best=float("nan")))
    assert compare(old, new) is None


def test_a_run_without_a_best_epoch_is_compared_by_its_last(old: RunDirectory, new: RunDirectory) -> None:
    for run in (old, new):
        (run.checkpoints / "best.pt").unlink()
    assert compare(old, new) is None


def test_what_differs_around_the_runs_is_told_with_the_difference(old: RunDirectory, new: RunDirectory) -> None:
    change_row(new, 1, "train/loss", "0.25")
    new.provenance_file.write_text(json.dumps({"executions": [FACTS | {"threads": 4, "packages": {"torch": "2.12"}}]}))
    told = compare(old, new)
    assert told is not None
    assert told.splitlines()[1:] == [
        f"  old:      {old.path}",
        f"  new:      {new.path}",
        "  differs:  package torch: 2.11.0, now 2.12",
        "  differs:  threads: 2, now 4",
    ]


def test_changes_on_the_way_of_the_old_run_are_told(old: RunDirectory, new: RunDirectory) -> None:
    change_row(new, 1, "train/loss", "0.25")
    record = yaml.safe_load(old.overrides_file.read_text()) | {"resumed": [{"at": "", "with": ["device=auto"]}]}
    old.overrides_file.write_text(yaml.safe_dump(record))
    told = compare(old, new)
    assert told is not None
    assert told.endswith("  differs:  the old run was resumed with device=auto, which the new one had from its start")


def test_where_nothing_differs_around_them_that_is_told_too(old: RunDirectory, new: RunDirectory) -> None:
    change_row(new, 1, "train/loss", "0.25")
    assert (compare(old, new) or "").endswith("  differs:  nothing that is recorded; see docs/guarantees.md")


def test_a_damaged_checkpoint_is_told_as_such(old: RunDirectory, new: RunDirectory) -> None:
    (old.checkpoints / "last.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"the checkpoint .*old/checkpoints/last\.pt is damaged"):
        compare(old, new)


def test_only_a_complete_run_can_be_reproduced(old: RunDirectory) -> None:
    require_comparable(old)
    Status(state="interrupted").write(old.status_file)
    with pytest.raises(UserError, match=r"old is interrupted: only a complete run .*\n  fix:      runner resume"):
        require_comparable(old)


def test_what_cannot_be_compared_is_told_before_the_run_is_trained_once_more(old: RunDirectory) -> None:
    best = old.checkpoints / "best.pt"
    best.write_bytes(best.read_bytes()[:100])
    with pytest.raises(UserError, match=r"best\.pt is damaged: .*\n  fix:      delete it"):
        require_comparable(old)
    best.unlink()
    require_comparable(old)
    old.metrics_file.unlink()
    with pytest.raises(UserError, match=r"metrics\.csv is not there"):
        require_comparable(old)


def test_weights_count_as_compared_only_where_a_checkpoint_is_left(old: RunDirectory, new: RunDirectory) -> None:
    assert extent(old) == "in every metric and every weight"
    for name in ("last", "best"):
        (old.checkpoints / f"{name}.pt").unlink()
    assert compare(old, new) is None
    assert extent(old).startswith("in every metric; no weight was compared")
