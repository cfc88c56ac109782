"""A run directory is made whole, or not at all."""

import json
import multiprocessing
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from runner.errors import UserError
from runner.runs.directory import RunDirectory, create, timestamped
from runner.training.execute import execute
from runner.training.signals import StopRequest
from runner.trust import Trust


def make(wanted: Path, seed: int = 0, exactly: bool = False) -> RunDirectory:
    return create(
        wanted,
        {"seed": seed},
        typed=[f"seed={seed}"],
        choices={"model": "mlp"},
        provenance={"command": []},
        exactly=exactly,
    )


def _make_at_the_same_instant(root: Path, seed: int, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    make(root / "2026-11-20" / "13-20-33-mlp-digits", seed)


@pytest.mark.slow
def test_64_runs_started_at_the_same_instant_get_64_directories_each_with_its_own_config(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(64)
    processes = [
        context.Process(target=_make_at_the_same_instant, args=(tmp_path, seed, barrier)) for seed in range(64)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 64
    folders = list((tmp_path / "2026-11-20").iterdir())
    assert len(folders) == 64
    configs = [RunDirectory(folder).config() for folder in folders]
    assert sorted(config["seed"] for config in configs) == list(range(64))
    for folder in folders:
        typed = yaml.safe_load((folder / "overrides.yaml").read_text())["typed"]
        assert typed == [f"seed={RunDirectory(folder).config()['seed']}"]


def test_the_directory_holds_config_overrides_status_and_provenance_from_its_first_instant(tmp_path: Path) -> None:
    run = make(tmp_path / "run", seed=3)
    assert run.config() == {"seed": 3}
    assert yaml.safe_load(run.overrides_file.read_text()) == {"typed": ["seed=3"], "choices": {"model": "mlp"}}
    assert json.loads(run.status_file.read_text())["state"] == "created"
    assert run.provenance_file.exists()
    assert list(tmp_path.iterdir()) == [run.path]


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    assert [make(tmp_path / "run").path.name for _ in range(3)] == ["run", "run-2", "run-3"]


def test_a_directory_asked_for_by_name_is_never_replaced(tmp_path: Path) -> None:
    make(tmp_path / "run", seed=1)
    with pytest.raises(UserError, match=r"run_dir=.* exists already"):
        make(tmp_path / "run", seed=2, exactly=True)
    assert RunDirectory(tmp_path / "run").config() == {"seed": 1}
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_value_that_yaml_cannot_hold_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        create(tmp_path / "run", {"seed": object()}, typed=[], choices={}, provenance={})
    assert list(tmp_path.iterdir()) == []


def test_floats_survive_the_frozen_config_exactly(tmp_path: Path) -> None:
    values = {"tiny": 1e-08, "inf": float("inf"), "third": 1 / 3, "large": 1e22}
    run = create(tmp_path / "run", values, typed=[], choices={}, provenance={})
    assert run.config() == values


def test_names_are_dates_and_times_without_characters_that_shells_read(tmp_path: Path) -> None:
    path = timestamped(tmp_path, "my net/[x]=1", datetime(2026, 11, 20, 13, 20, 33))
    assert path == tmp_path / "2026-11-20" / "13-20-33-my-net--x--1"


def test_a_folder_that_is_no_run_is_refused_with_the_run_inside_it(tmp_path: Path) -> None:
    run = make(tmp_path / "2026-11-20" / "run")
    with pytest.raises(UserError, match="is not a run directory") as refusal:
        RunDirectory.open(tmp_path)
    assert f"nearest:  {run.path}" in str(refusal.value)


READING = {
    "config.yaml": RunDirectory.config,
    "overrides.yaml": RunDirectory.choices,
    "provenance.json": RunDirectory.provenance,
}


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is damaged: "),
        (b"a: [", "is damaged: "),
        (b"[1]", "is damaged: it is no mapping"),
        (b"\xff", "is damaged: "),
        (None, "is not there"),
    ],
    ids=["empty", "cut", "a list", "no text", "gone"],
)
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    run = make(tmp_path / "run")
    (run.path / name).unlink()
    if content is not None:
        (run.path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{run.path / name} {problem}") as refusal:
        READING[name](run)
    assert "put back a copy of it" in str(refusal.value)


def test_a_record_without_what_was_typed_is_damaged(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.overrides_file.write_text("choices: {}\n")
    with pytest.raises(UserError, match=r"overrides\.yaml is damaged: it has no typed"):
        run.values()


def test_provenance_that_is_damaged_keeps_a_run_from_being_executed(new_run: Callable[..., RunDirectory]) -> None:
    run = new_run("epochs=1")
    run.provenance_file.write_text("{")
    status = run.status_file.read_text()
    with pytest.raises(UserError, match=r"provenance\.json is damaged"):
        execute(run, Trust(()), StopRequest())
    assert run.status_file.read_text() == status
