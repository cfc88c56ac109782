"""A run whose status.json was lost."""

import json
import math
from pathlib import Path

import pytest

from runner.errors import UserError
from runner.runs.directory import RunDirectory, create
from runner.runs.rebuild import read_or_rebuild, read_status
from runner.runs.status import Status


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Executed twice, for three epochs of half a second."""
    executions = [{"started": "2026-11-20T10:00:05+00:00"}, {"started": "2026-11-20T11:00:00+00:00"}]
    provenance = {"created": "2026-11-20T10:00:00+00:00", "executions": executions}
    run = create(tmp_path / "run", {"seed": 0}, typed=[], choices={}, provenance=provenance)
    run.metrics_file.write_text("epoch,seconds\n" + "".join(f"{epoch},0.5\n" for epoch in (1, 2, 3)) + "3,\n")
    return run


def test_a_good_status_is_what_the_file_says(run: RunDirectory) -> None:
    Status(state="failed", epoch=2).write(run.status_file)
    status, lost = read_or_rebuild(run)
    assert (status, lost) == (Status.read(run.status_file), None)


def test_a_status_with_figures_that_are_no_numbers_is_json_and_comes_back(run: RunDirectory) -> None:
    Status(best=math.inf, metrics={"val/loss": math.nan, "val/accuracy": 0.5}).write(run.status_file)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(run.status_file.read_text(), parse_constant=refuse)
    status = Status.read(run.status_file)
    assert math.isnan(status.metrics["val/loss"])
    assert (status.metrics["val/accuracy"], status.best) == (0.5, None)


@pytest.mark.parametrize("content", [None, "", '{"state": "run', "[1]", '{"epoch": "two"}'])
def test_a_lost_status_is_rebuilt_from_provenance_and_metrics(run: RunDirectory, content: str | None) -> None:
    run.status_file.unlink() if content is None else run.status_file.write_text(content)
    status, lost = read_or_rebuild(run)
    assert (status.created, status.started) == ("2026-11-20T10:00:00+00:00", "2026-11-20T10:00:05+00:00")
    assert (status.executions, status.seconds, status.state) == (2, 1.5, "interrupted")
    assert lost is not None
    assert lost.startswith(f"{run.status_file} is ")


def test_a_status_is_rebuilt_whatever_else_is_lost(run: RunDirectory) -> None:
    for file in (run.status_file, run.provenance_file, run.metrics_file):
        file.write_text("noise\n")
    status = read_status(run)
    assert (status.executions, status.seconds, status.state) == (0, 0.0, "interrupted")


def test_a_lost_status_is_told_with_how_to_get_it_back(run: RunDirectory) -> None:
    run.status_file.write_text(json.dumps({"epoch": None}))
    with pytest.raises(UserError, match=rf"is damaged: .*\n  fix:      runner resume {run.path}, "):
        Status.read(run.status_file)
