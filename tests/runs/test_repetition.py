"""Where a run directory lies that repeats another run."""

import json
from pathlib import Path

import pytest

from runner import yaml_text
from runner.runs.directory import RunDirectory
from runner.runs.repetition import again


def make_run(folder: Path) -> RunDirectory:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 3\n")
    (folder / "overrides.yaml").write_text(yaml_text.dump({"typed": ["seed=3"], "choices": {"model": "mlp"}}))
    (folder / "provenance.json").write_text(json.dumps({"weights": None, "executions": []}))
    return RunDirectory(folder)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_lies_beside_the_run_and_says_what_it_repeats() -> None:
    new = again(make_run(Path("outputs/first")), ["runner", "reproduce"])
    assert new.path == Path("outputs/first-again")
    assert (new.config(), new.overrides()["typed"]) == ({"seed": 3}, ["seed=3"])
    assert new.provenance()["repeats"] == "outputs/first"


def test_of_a_run_in_a_sweep_it_lies_beside_the_sweep_and_is_none_of_its_runs() -> None:
    old = make_run(Path("outputs/sweep/runs/0003-lr-0.1"))
    Path("outputs/sweep/sweep.yaml").write_text("")
    assert again(old, []).path == Path("outputs/sweep-0003-again")
    assert [run.name for run in Path("outputs/sweep/runs").iterdir()] == ["0003-lr-0.1"]


def test_each_time_it_is_another_one() -> None:
    old = make_run(Path("outputs/first"))
    assert [again(old, []).path.name for _ in range(2)] == ["first-again", "first-again-2"]
