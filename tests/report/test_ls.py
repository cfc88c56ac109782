"""``runner ls``: what is listed, in what order, and in what form."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import make_run, make_sweep

from runner.cli import main
from runner.errors import UserError
from runner.report.ls import ordered
from runner.report.runs import entries, find


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``outputs`` of the current one, with two runs, and a sweep of two of which one has failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    make_run(
        tmp_path / "outputs" / "first",
        {"optimizer.lr": 0.1},
        best=0.5,
        created="2026-11-18T00:00:00+00:00",
        metrics={"val/loss": 0.7},
    )
    make_run(
        tmp_path / "outputs" / "new", state="interrupted", epoch=3, seconds=75.0, created="2026-11-22T00:00:00+00:00"
    )
    sweep = make_sweep(tmp_path / "outputs" / "sweep", ["optimizer.lr"], planned=3)
    make_run(sweep.place(0, [("lr", "0.01")]), {"optimizer.lr": 0.01}, best=0.9, metrics={"val/loss": 0.2})
    make_run(sweep.place(1, [("lr", "1e-06")]), {"optimizer.lr": 1e-6}, state="failed", error="no\nmore", epoch=0)
    return tmp_path / "outputs"


def listed(capsys: pytest.CaptureFixture[str], *typed: str) -> list[list[str]]:
    """The words of each line below the header."""
    assert main(["ls", *typed]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()[1:]]


def names(capsys: pytest.CaptureFixture[str], *typed: str) -> list[str]:
    return [Path(words[0]).name for words in listed(capsys, *typed)]


@pytest.mark.usefixtures("outputs")
def test_runs_and_sweeps_are_lines_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run                  state            progress                 best        time",
        "outputs/new    interrupted                3/10                    -  1 min 15 s",
        "outputs/sweep  interrupted  2/3 runs, 1 failed  val/accuracy 0.9000       3.0 s",
        "outputs/first    completed               10/10  val/accuracy 0.5000       1.5 s",
    ]


@pytest.mark.usefixtures("outputs")
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["outputs/sweep"], ["0001-lr-1e-06", "0000-lr-0.01"]),
        (["--runs"], ["new", "0001-lr-1e-06", "0000-lr-0.01", "first"]),
        (["-n", "2"], ["new", "sweep"]),
        (["-r"], ["first", "sweep", "new"]),
        (["--sort", "best"], ["first", "sweep", "new"]),  # a sweep has the best of its runs; without one: last
        (["--sort", "best", "-r", "-n", "1"], ["sweep"]),
        (["--sort", "optimizer.lr"], ["0001-lr-1e-06", "new", "0000-lr-0.01", "first"]),
        (["--sort", "val/loss"], ["0000-lr-0.01", "first", "new", "0001-lr-1e-06"]),
        (["--sort", "val/loss", "-r"], ["first", "0000-lr-0.01", "new", "0001-lr-1e-06"]),
        (["--where", "optimizer.lr < 0.05 and state != failed"], ["new", "0000-lr-0.01"]),
        (["--where", "best > 0", "--sort", "seconds"], ["0000-lr-0.01", "first"]),
    ],
)
def test_filters_orders_and_numbers_go_together(
    capsys: pytest.CaptureFixture[str], typed: list[str], found: list[str]
) -> None:
    assert names(capsys, *typed) == found


@pytest.mark.usefixtures("outputs")
def test_settings_that_are_asked_about_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ls", "--where", "optimizer.lr <= 0.1 and state == completed", "--sort", "val/loss"])
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["run", "state", "progress", "optimizer.lr", "val/loss", "best", "time"]
    assert [row[3:5] for row in rows] == [["0.01", "0.2"], ["0.1", "0.7"]]


@pytest.mark.usefixtures("outputs")
def test_json_has_all_of_the_status_and_what_a_sweep_comes_to(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ls", "--json"])
    new, sweep, first = json.loads(capsys.readouterr().out)
    assert (new["run"], new["state"], new["epoch"], new["best"]) == ("outputs/new", "interrupted", 3, None)
    assert (first["best"], first["metrics"]) == (0.5, {"val/loss": 0.7})
    assert sweep == {
        "sweep": "outputs/sweep",
        "state": "interrupted",
        "planned": 3,
        "runs": {"completed": 1, "failed": 1},
        "created": "2026-11-20T13:20:33+00:00",
        "seconds": 3.0,
        "objectives": [{"metric": "val/accuracy", "direction": "maximize"}],
        "best": 0.9,
        "best_run": "outputs/sweep/runs/0000-lr-0.01",
    }


def test_json_is_json_whatever_a_run_came_to(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(outputs / "nan", best=float("nan"), metrics={"val/loss": float("inf")})

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    main(["ls", "--json", "--where", "run ~ nan"])
    (run,) = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert (run["best"], run["metrics"]) == (None, {"val/loss": None})


@pytest.mark.usefixtures("outputs")
def test_csv_has_a_line_for_each_with_every_metric_to_the_last_bit(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ls", "--csv", "--where", "optimizer.lr < 1"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [
        (row["kind"], Path(row["run"]).name, row["state"], row["optimizer.lr"], row["val/loss"]) for row in rows
    ] == [
        ("run", "new", "interrupted", "0.001", ""),
        ("run", "0001-lr-1e-06", "failed", "1e-06", ""),
        ("run", "0000-lr-0.01", "completed", "0.01", "0.2"),
        ("run", "first", "completed", "0.1", "0.7"),
    ]
    assert rows[1]["error"] == "no\nmore"
    main(["ls", "--csv"])
    sweep = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))[1]
    assert [sweep[name] for name in ("kind", "best", "planned", "completed", "failed")] == [
        "sweep",
        "0.9",
        "3",
        "1",
        "1",
    ]


@pytest.mark.usefixtures("outputs")
def test_a_narrow_terminal_gets_two_lines_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    main(["ls"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == ["outputs/new", "outputs/sweep", "outputs/first"]
    assert lines[5].split() == ["completed", "10/10", "val/accuracy", "0.5000", "1.5", "s"]
    assert max(map(len, lines)) <= 70


def test_an_order_by_what_no_run_has_is_refused_with_the_nearest(outputs: Path) -> None:
    with pytest.raises(UserError, match=r"--sort optimizer\.l: no run has optimizer\.l\n.*\n  nearest:  optimizer\.lr"):
        ordered(find(outputs), "optimizer.l", backwards=False)


def test_what_has_no_value_comes_last_in_either_order(outputs: Path) -> None:
    for backwards in (False, True):
        assert ordered(entries(outputs), "best", backwards)[-1].path.name == "new"


@pytest.mark.parametrize("typed", [["--json", "--csv"], ["-n", "many"]])
def test_flags_that_make_no_sense_are_refused(typed: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["ls", *typed])


@pytest.mark.usefixtures("outputs")
def test_an_empty_list_says_why(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for typed, told in (
        (["empty"], "there are no runs below empty\n"),
        (["--where", "epoch > 99"], "there are no runs below outputs for which this holds\n"),
        (["empty", "--where", "nonsense == 1"], "there are no runs below empty\n"),
    ):
        assert main(["ls", *typed]) == 0
        assert capsys.readouterr().out == told


@pytest.mark.usefixtures("outputs")
@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["nowhere"], "runner ls nowhere: there is no such folder\n"),
        (["-n", "0"], "-n 0\n  expected: 1 or more\n"),
        (["--where", "optmizer.lr == 1"], "no run has optmizer.lr"),
        (["--sort", "bets"], "--sort bets: no run has bets"),
    ],
)
def test_a_wrong_request_gets_one_message(capsys: pytest.CaptureFixture[str], typed: list[str], told: str) -> None:
    assert main(["ls", *typed]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
