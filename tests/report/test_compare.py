"""``runner compare``: the tables, on any terminal, and as JSON and CSV."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run, make_sweep

from runner.cli import main
from runner.report.layout import within


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``sweep`` of the current one: two rates with two seeds each, of which the last one has failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    made = make_sweep(tmp_path / "sweep", ["optimizer.lr", "seed"], planned=4)
    for number, (lr, seed, value) in enumerate([(0.1, 0, 0.5), (0.1, 1, 0.75), (0.01, 0, 0.9375), (0.01, 1, None)]):
        failed: dict[str, Any] = {"state": "failed", "epoch": 4, "error": "the loss is nan\n  where: step 9"}
        metrics = {"val/loss": 1.0, "val/accuracy": 0.25 if value is None else value}
        status = failed if value is None else {"best": value}
        make_run(made.place(number, []), {"optimizer.lr": lr, "seed": seed}, metrics=metrics, **status)
    return made.path


@pytest.mark.usefixtures("sweep")
def test_a_row_a_run_then_the_means_over_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "sweep"]) == 0
    # The spread of 0.5 and 0.75 is the root of 2 * 0.125 ** 2: 0.1768.
    assert capsys.readouterr().out.splitlines() == [
        "run     lr  seed      state  progress  val/loss  val/accuracy   time",
        "0000   0.1     0  completed     10/10     1.000        0.5000  1.5 s",
        "0001   0.1     1  completed     10/10     1.000        0.7500  1.5 s",
        "0002  0.01     0  completed     10/10     1.000        0.9375  1.5 s  best",
        "0003  0.01     1     failed      4/10   (1.000)      (0.2500)  1.5 s",
        "",
        "mean ± standard deviation over seed",
        "",
        "lr      runs   val/loss   val/accuracy",
        "0.1        2  1.000 ± 0  0.6250 ± 0.18",
        "0.01  1 of 2      1.000         0.9375  best",
        "",
        "in brackets: of a run that is not complete; it counts for no mean",
        "",
        "0003 failed: the loss is nan",
    ]


@pytest.mark.usefixtures("sweep")
def test_csv_has_a_line_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "sweep", "--csv", "--metric", "val/acc*"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == ["run", "optimizer.lr", "seed", "state", "epoch", "epochs", "val/accuracy", "seconds"]
    assert [(row["optimizer.lr"], row["seed"], row["state"], row["val/accuracy"]) for row in rows] == [
        ("0.1", "0", "completed", "0.5"),
        ("0.1", "1", "completed", "0.75"),
        ("0.01", "0", "completed", "0.9375"),
        ("0.01", "1", "failed", "0.25"),
    ]


@pytest.mark.usefixtures("sweep")
def test_json_has_runs_means_and_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "sweep", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"] == ["optimizer.lr", "seed"]
    assert found["best"] == "sweep/runs/0002"
    assert found["runs"][3]["error"] == "the loss is nan\n  where: step 9"
    assert [mean["settings"] for mean in found["means"]] == [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.01}]
    assert found["means"][0]["metrics"]["val/accuracy"] == {"mean": 0.625, "std": pytest.approx(0.03125**0.5), "n": 2}
    assert found["means"][1]["metrics"]["val/accuracy"] == {"mean": 0.9375, "std": None, "n": 1}
    assert "difference" not in found


@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize("width", [40, 60, 80])
def test_tables_keep_to_the_terminal_and_lose_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    main(["compare", "sweep"])
    wide = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", str(width))
    main(["compare", "sweep"])
    tables = capsys.readouterr().out.partition("\nin brackets")[0]
    assert max(map(len, tables.splitlines())) <= width
    assert set(wide.partition("\nin brackets")[0].split()) == set(tables.split())


@given(
    st.integers(1, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.text("abc", min_size=1, max_size=30), min_size=columns, max_size=columns),
            min_size=2,
            max_size=4,
        )
    ),
    st.integers(30, 100),
    st.integers(1, 2),
)
def test_a_table_fits_any_width_and_every_row_begins_with_its_labels(
    rows: list[list[str]], width: int, num_labels: int
) -> None:
    num_labels = min(num_labels, len(rows[0]))
    lines = within(rows[0], rows[1:], width, num_labels)
    assert max(map(len, lines)) <= width
    filled = [line for line in lines if line]
    assert len(filled) % len(rows) == 0
    starts = [line[:3].strip() for line in filled]
    assert starts == starts[: len(rows)] * (len(filled) // len(rows))


@pytest.mark.usefixtures("sweep")
def test_of_two_runs_settings_code_and_surroundings_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"git": None, "packages": {"torch": "2.11.0"}, "python": "3.11.7"}
    other = {**facts, "packages": {"torch": "2.12.0"}}
    make_run(tmp_path / "old", {"optimizer.lr": 0.1}, provenance={"executions": [facts]})
    make_run(tmp_path / "new", {"optimizer.lr": 0.2, "tracking.graph": False}, provenance={"executions": [other]})
    assert main(["compare", "old", "new"]) == 0
    told = capsys.readouterr().out.split("\n\n")[1:]
    assert told[0].splitlines() == [
        "setting          old    new",
        "optimizer.lr     0.1    0.2",
        "tracking.graph  true  false",
    ]
    assert told[1].splitlines() == [
        "code     not known: git recorded nothing of either",
        "around   package torch: 2.11.0, now 2.12.0",
    ]
    main(["compare", "old", "new", "--json"])
    found = json.loads(capsys.readouterr().out)["difference"]
    assert found["settings"] == {"optimizer.lr": [0.1, 0.2], "tracking.graph": [True, False]}


@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["sweeep"], "runner compare sweeep: there is no such folder\n"),
        (["sweep", "--metric", "val/acc"], "--metric val/acc: no run has it\n"),
        (["sweep", "--where", "seed == 9"], "--where 'seed == 9' holds for none of the runs\n"),
        (["sweep", "--over", "data.flod"], "--over data.flod: no run has data.flod\n"),
        (["sweep", "--diff"], "--diff is about two runs, these are 4\n"),
    ],
)
def test_a_wrong_request_gets_one_message(capsys: pytest.CaptureFixture[str], typed: list[str], told: str) -> None:
    assert main(["compare", *typed]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(told)


@pytest.mark.usefixtures("sweep")
def test_only_the_runs_that_are_asked_for_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "sweep", "--where", "state == completed and optimizer.lr > 0.05", "--csv"])
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "sweep/runs/0000",
        "sweep/runs/0001",
    ]
