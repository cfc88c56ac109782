"""The page of a report: what it says, that its figures show what the runs came to, and that it needs nothing else."""

import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import optuna
import pytest
from made_runs import make_run, make_sweep

from runner.cli import main
from runner.deploy.examples import Example, Examples
from runner.report.comparison import Comparison, compare
from runner.report.page.curves import learning_curves, read_epochs
from runner.report.page.figures import Figure
from runner.report.page.page import render
from runner.report.page.study import draw, make_study, pareto
from runner.report.runs import given

Compared = Callable[..., Comparison]
NO_EXAMPLES = "there is no data here"


def traces(figure: Figure | None) -> list[dict[str, Any]]:
    assert figure is not None
    found: list[dict[str, Any]] = json.loads(figure.spec)["data"]
    return found


def layout(figure: Figure) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(figure.spec)["layout"]
    return found


def rows_of(values: list[float], best: int = 1) -> list[dict[str, Any]]:
    """Rows of ``metrics.csv`` with these validation losses, and the last one of the test split."""
    rows: list[dict[str, Any]] = [
        {
            "epoch": n,
            "lr": 0.1,
            "train/loss": v / 2,
            "val/loss": v,
            "val/accuracy": 1 - v / 10,
            "test/loss": "",
            "seconds": 0.5,
        }
        for n, v in enumerate(values, start=1)
    ]
    return [*rows, {"epoch": best, "test/loss": 9.0}]


# --- learning curves --------------------------------------------------------------------------------------------------


def test_curves_are_the_rows_of_the_epochs_without_that_of_the_test_split(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", rows=rows_of([3.0, math.nan, 1.0]))
    points = read_epochs(run)
    assert points["epoch"] == [1, 2, 3]
    assert points["val/loss"] == [3.0, None, 1.0]
    assert points["train/loss"] == [1.5, None, 0.5]
    assert points["test/loss"] == [None, None, None]


def test_of_very_many_epochs_some_are_drawn_and_the_last_is(tmp_path: Path) -> None:
    points = read_epochs(make_run(tmp_path / "a", rows=rows_of([float(n) for n in range(1, 1002)])))
    assert len(points["epoch"]) <= 401
    assert points["epoch"][-1] == 1001
    assert points["val/loss"] == points["epoch"]


def test_a_run_without_metrics_has_no_curves(tmp_path: Path, compared: Compared) -> None:
    assert read_epochs(make_run(tmp_path / "a")) == {}
    assert learning_curves(compared()) == []


@pytest.mark.parametrize("content", [b"\0" * 200_000, b"", b"1,0.5,3\n2,0.4,3\n", b"loss,seconds\n0.5,3\n", b"\xff\n"])
def test_a_run_whose_metrics_are_damaged_has_no_curves_either(tmp_path: Path, content: bytes) -> None:
    run = make_run(tmp_path / "a")
    (run / "metrics.csv").write_bytes(content)
    assert read_epochs(run) == {}


def test_a_single_run_shows_validation_and_training_and_its_best_epoch(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", rows=rows_of([3.0, 1.0, 2.0]), best_epoch=2)
    loss, accuracy, rate = learning_curves(compared())
    assert [figure.title for figure in (loss, accuracy, rate)] == ["loss", "accuracy", "learning rate"]
    assert {trace["name"]: trace["y"] for trace in traces(loss)} == {
        "validation": [3.0, 1.0, 2.0],
        "training": [1.5, 0.5, 1.0],
    }
    assert [shape["x0"] for shape in layout(loss)["shapes"]] == [2]
    assert traces(rate)[0]["y"] == [0.1, 0.1, 0.1]


def test_few_runs_have_a_colour_each_and_of_many_the_best_have(tmp_path: Path, compared: Compared) -> None:
    for number in range(12):
        make_run(tmp_path / f"{number:02d}", {"seed": number}, rows=rows_of([2.0, 1.0 + number]), best=number / 100)
    loss = learning_curves(compared())[0]
    grey, *coloured = traces(loss)
    assert grey["name"] == "7 others"
    assert [value for value in grey["y"] if value is not None] == [y for n in range(7) for y in (2.0, 1.0 + n)]
    solid = [trace for trace in coloured if trace["line"]["dash"] == "solid"]
    assert [trace["meta"] for trace in solid] == [11, 10, 9, 8, 7]  # the best first
    assert [trace["y"] for trace in solid] == [[2.0, 1.0 + number] for number in (11, 10, 9, 8, 7)]
    assert len({trace["line"]["color"] for trace in solid}) == 5
    few = compare(given([tmp_path / f"{number:02d}" for number in range(3)], "x"))
    assert {trace["meta"] for trace in traces(learning_curves(few)[0])} == {0, 1, 2}


def test_a_loss_over_many_orders_of_size_has_a_logarithmic_axis(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", rows=rows_of([100.0, 0.1]))
    loss, accuracy, _ = learning_curves(compared())
    assert layout(loss)["yaxis"]["type"] == "log"
    assert "type" not in layout(accuracy).get("yaxis", {})


# --- the study --------------------------------------------------------------------------------------------------------


def study_runs(folder: Path) -> list[dict[str, Any]]:
    """Eight complete runs, with what they are to be found by; a failed, a pruned and a running one."""
    known = []
    for number in range(8):
        settings = {"optimizer.lr": 10.0 ** -(number % 4), "model.dropout": [0.5, 0.0, 0.25][number % 3]}
        choice, value = ("unet", "mlp")[number // 2 % 2], 0.5 + (number * 5 % 8) / 20
        make_run(folder / f"{number}", settings, choices={"model": choice}, best=value)
        known.append({**settings, "model": choice, "value": value})
    for name in ("failed", "pruned", "running"):
        make_run(folder / name, {"optimizer.lr": 5.0}, choices={"model": "mlp"}, state=name, best=0.99)
    return known


def test_the_study_has_the_runs_that_are_over_with_their_state(tmp_path: Path, compared: Compared) -> None:
    known = study_runs(tmp_path)
    study = make_study(compared())
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    trials = study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 8 + ["FAIL", "PRUNED"]
    assert [trial.values[0] for trial in trials[:8]] == [one["value"] for one in known]
    assert [trial.params for trial in trials[:8]] == [
        {key: one[key] for key in ("model", "optimizer.lr", "model.dropout")} for one in known
    ]
    assert trials[0].distributions["optimizer.lr"] == optuna.distributions.FloatDistribution(0.001, 5.0, log=True)
    assert trials[0].distributions["model.dropout"] == optuna.distributions.FloatDistribution(0.0, 0.5)
    assert trials[0].distributions["model"] == optuna.distributions.CategoricalDistribution(("mlp", "unet"))


@pytest.mark.parametrize(
    ("values", "is_log"),
    [
        ([16, 32, 64, 128, 256], True),
        ([1e-4, 1e-3, 1e-2], True),
        ([0.01, 0.2, 0.35, 0.5, 0.69], False),  # evenly drawn, though the largest is 69 times the smallest
        ([1, 2, 3], False),
        ([0, 1, 100], False),
    ],
)
def test_an_axis_is_logarithmic_where_the_values_are_even_on_it(
    tmp_path: Path, compared: Compared, values: list[float], is_log: bool
) -> None:
    for number, value in enumerate(values):
        make_run(tmp_path / f"{number}", {"model.dropout": value}, best=0.5)
    space = make_study(compared()).get_trials()[0].distributions["model.dropout"]
    assert space.log is is_log  # type: ignore[attr-defined]


def test_a_complete_run_without_a_number_is_a_failed_trial(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", {"seed": 0}, best=0.5)
    make_run(tmp_path / "b", {"seed": 1}, best=math.nan)
    make_run(tmp_path / "c", {"seed": 2})
    assert [trial.state.name for trial in make_study(compared()).get_trials()] == ["COMPLETE", "FAIL", "FAIL"]


def test_a_null_beside_numbers_is_a_category_and_what_is_not_there_is_none(tmp_path: Path, compared: Compared) -> None:
    make_run(tmp_path / "a", {"regularization.l2": None}, best=0.5)
    make_run(tmp_path / "b", {"regularization.l2": 0.1, "optimizer.momentum": 0.9}, best=0.6)
    one, other = make_study(compared()).get_trials()
    assert one.params == {"regularization.l2": "null"}
    assert other.params == {"regularization.l2": "0.1", "optimizer.momentum": 0.9}


def test_every_setting_is_drawn_against_the_metric_of_the_complete_runs(tmp_path: Path, compared: Compared) -> None:
    known = study_runs(tmp_path)
    (drawn,) = draw(compared())
    assert [figure.title for figure in drawn.slices] == ["model", "optimizer.lr", "model.dropout"]
    for figure in drawn.slices:
        (trace,) = traces(figure)
        points = sorted((str(x), y) for x, y in zip(trace["x"], trace["y"], strict=True))
        assert points == sorted((str(one[figure.title]), one["value"]) for one in known)
        assert trace["y"] == [known[row]["value"] for row in trace["customdata"]]  # a click leads to the right run


def test_lines_of_all_settings_are_those_of_their_runs_and_the_best_is_on_top(
    tmp_path: Path, compared: Compared
) -> None:
    known = study_runs(tmp_path)
    (drawn,) = draw(compared())
    lines = traces(drawn.parallel)
    assert len(lines) == 8
    for line in lines:
        one = known[line["meta"]]
        told = dict(map(tuple, line["customdata"]))
        assert float(told["val/accuracy"]) == pytest.approx(one["value"], rel=1e-2)
        assert told["model"] == one["model"]
        assert float(told["optimizer.lr"]) == pytest.approx(one["optimizer.lr"], rel=1e-2)
    values = [known[line["meta"]]["value"] for line in lines]
    assert values == sorted(values)
    assert lines[-1]["line"]["color"] == "var(--step-5)"


def test_importances_find_the_setting_that_decides(tmp_path: Path, compared: Compared) -> None:
    for number in range(16):
        lr, dropout = 0.1 * (number % 4 + 1), 0.1 * (number // 4)
        make_run(tmp_path / f"{number:02d}", {"optimizer.lr": lr, "model.dropout": dropout}, best=lr**2)
    (drawn,) = draw(compared())
    (bars,) = traces(drawn.importances)
    shares = dict(zip(bars["y"], bars["x"], strict=True))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["optimizer.lr"] > 0.95


def test_where_nothing_can_be_told_of_importances_that_is_said(tmp_path: Path, compared: Compared) -> None:
    for number in range(3):
        make_run(tmp_path / f"{number}", {"seed": number, "epochs": number % 2 + 5}, best=0.5 + number / 10)
    assert draw(compared())[0].note == "fewer than 4 runs are complete"
    make_run(tmp_path / "3", {"seed": 3, "epochs": 9}, best=0.5)
    assert draw(compared())[0].note is None
    for run in tmp_path.iterdir():
        status = json.loads((run / "status.json").read_text())
        (run / "status.json").write_text(json.dumps({**status, "best": 0.5}))
    assert draw(compared())[0].note == "val/accuracy is the same in all runs"


def test_two_objectives_are_drawn_with_the_runs_that_no_other_beats(tmp_path: Path, compared: Compared) -> None:
    objectives = [{"metric": "val/accuracy", "direction": "maximize"}, {"metric": "val/loss", "direction": "minimize"}]
    sweep = make_sweep(tmp_path / "sweep", ["seed"], 4, objectives=objectives)
    for number, (accuracy, loss) in enumerate([(0.9, 0.5), (0.8, 0.1), (0.7, 0.4), (0.95, 0.9)]):
        metrics = {"val/accuracy": accuracy, "val/loss": loss}
        make_run(sweep.place(number, []), {"seed": number}, metrics=metrics, best=accuracy)
    beaten, unbeaten = traces(pareto(compared()))
    assert list(zip(beaten["x"], beaten["y"], strict=True)) == [(0.7, 0.4)]
    assert list(zip(unbeaten["x"], unbeaten["y"], strict=True)) == [(0.9, 0.5), (0.8, 0.1), (0.95, 0.9)]
    assert [one.objective.metric for one in draw(compared())] == ["val/accuracy", "val/loss"]


# --- the page ---------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Links, sources, identifiers and the text of a page; figures and scripts aside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.ids: set[str] = set()
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self._inside = tag
        if tag == "a":
            self.links.append(known["href"])
        self.sources += [known[name] for name in ("src", "srcset", "data", "poster") if name in known]
        self.sources += [known["href"]] if tag == "link" else []
        self.ids |= {known["id"]} if "id" in known else set()
        if tag == "script":
            self.scripts.append(known.get("type", "code"))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    made = make_sweep(tmp_path / "my sweep #1", ["optimizer.lr", "seed"], planned=5)
    for number in range(4):
        settings = {"optimizer.lr": [0.1, 0.01][number // 2], "seed": number % 2}
        metrics = {"val/loss": 1.0, "val/accuracy": 0.5 + number / 8}
        make_run(made.place(number, []), settings, metrics=metrics, best=0.5 + number / 8, rows=rows_of([2.0, 1.0]))
    failed = made.place(4, [])
    make_run(failed, {"optimizer.lr": 9.0}, state="failed", epoch=0, error="<script>alert(1)</script>\n  where: 3")
    (failed / "train.log").write_text("Traceback\nValueError: boom & <b>bust</b>\n")
    return made.path


def page_of(folder: Path, examples: Examples | str = NO_EXAMPLES) -> str:
    entries = given([folder], "runner report")
    return render(entries, compare(entries), examples, folder / "report.html")


def test_the_page_needs_nothing_but_itself(sweep: Path) -> None:
    text = page_of(sweep)
    page = Page(text)
    assert [source for source in page.sources if not source.startswith("data:")] == []
    assert re.findall(r"@import|url\((?!data:)", text[: text.index("</style>")]) == []
    assert "default-src 'none'" in text
    assert text.count("plotly.js v") == 1
    assert page.scripts.count("application/json") > 5


def test_links_lead_to_the_run_directories_and_into_the_page(sweep: Path) -> None:
    page = Page(page_of(sweep))
    outward = [link for link in page.links if not link.startswith("#")]
    assert {(sweep / unquote(link)).resolve() for link in outward} == {
        sweep.resolve(),
        *(run.resolve() for run in (sweep / "runs").iterdir()),
    }
    inward = {link[1:] for link in page.links if link.startswith("#")}
    assert inward == {"curves", "settings", "runs", "examples", "failures", "configuration"}
    assert inward <= page.ids


def test_the_page_says_what_came_of_the_runs(sweep: Path) -> None:
    text = Page(page_of(sweep)).text
    assert "complete runs 4 of 5 1 failed" in text
    assert "best val/accuracy 0.8750 0003" in text
    assert "best mean of 2 0.8125 ± 0.088 lr 0.01" in text  # of 0.75 and 0.875
    assert "where: 3" in text
    assert "ValueError: boom & <b>bust</b>" in text
    assert f"There are none: {NO_EXAMPLES}" in text


def test_nothing_that_a_run_says_becomes_part_of_the_page(sweep: Path) -> None:
    text = page_of(sweep)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<b>bust" not in text


def test_a_single_run_has_its_figures_and_no_comparison(tmp_path: Path) -> None:
    metrics = {"train/loss": 0.25, "val/loss": 0.5, "val/accuracy": 0.75, "test/accuracy": 0.625}
    run = make_run(tmp_path / "run", {"epochs": 3}, metrics=metrics, best=0.75, best_epoch=2, rows=rows_of([2.0, 1.0]))
    page = Page(page_of(run))
    assert "state completed" in page.text
    assert "split loss accuracy train 0.2500 - val 0.5000 0.7500 test - 0.6250" in page.text
    assert "runner train epochs=3" in page.text
    assert not {"settings", "all-runs"} & page.ids
    assert "optimizer.lr 0.001" in page.text  # all settings


def test_the_command_of_a_run_can_be_copied_into_a_shell(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", typed=["model=mlp", "regularization=[clip,ema]"])
    assert "runner train model=mlp 'regularization=[clip,ema]'" in Page(page_of(run)).text


def test_a_run_that_came_to_no_figures_has_no_link_to_them(tmp_path: Path) -> None:
    assert "#runs" not in Page(page_of(make_run(tmp_path / "run", state="failed"))).links


def test_examples_are_shown_with_their_pictures(sweep: Path) -> None:
    right = Example(7, (("image", b"PNG"),), "cat", "cat", "90 %", True)
    wrong = Example(8, (("image", b"PNG2"),), "<cat>", "dog", "60 %", False)
    examples = Examples("test", 3, 20, "1 of 20 are wrong", (right,), (wrong,), (("shape", "#ff9900"),))
    text = page_of(sweep, examples)
    page = Page(text)
    assert page.sources.count("data:image/png;base64,UE5H") == 1
    assert "of the test split, at its best epoch (3). Of the 20 samples looked at: 1 of 20 are wrong" in page.text
    assert "dog true: <cat> 60 %" in page.text


def test_runs_of_different_kinds_and_runs_that_never_began_have_a_page_too(tmp_path: Path) -> None:
    make_run(tmp_path / "a", monitor="val/dice", metrics={"val/dice": 0.5}, best=0.5)
    make_run(tmp_path / "b", metrics={"val/accuracy": 0.5}, best=0.5)
    make_run(tmp_path / "c", state="created", epoch=0, epochs=None, monitor=None, direction=None, executions=0)
    page = Page(page_of(tmp_path))
    assert "complete runs 2 of 3 1 created" in page.text
    assert "settings" not in page.ids


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_report_is_written_into_the_directory_or_where_it_is_wanted(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(sweep), "--no-examples"]) == 0
    assert (sweep / "report.html").is_file()
    assert capsys.readouterr().out.splitlines()[0] == "runs     5"
    assert main(["report", str(sweep / "runs"), str(sweep), "--no-examples", "-o", "mine.html"]) == 0
    assert (tmp_path / "mine.html").is_file()
    assert main(["report", str(sweep), str(sweep / "runs" / "0000"), "--no-examples", "--where", "seed == 0"]) == 0
    assert (tmp_path / "report.html").is_file()


def test_a_report_without_data_says_so_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "run", best=0.5)
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "no examples: " in capsys.readouterr().out
    assert "There are none: " in Page((tmp_path / "run" / "report.html").read_text()).text


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["-o", "nowhere/report.html"], "-o nowhere/report.html: the folder nowhere is not there"),
        (["-o", "."], "-o .: is a folder"),
        (["--metric", "val/nothing"], "--metric val/nothing: no run has it"),
    ],
)
def test_a_wrong_request_writes_nothing(
    sweep: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", str(sweep), "--no-examples", *typed]) == 2
    assert capsys.readouterr().err.startswith(told)
    assert sorted(tmp_path.rglob("*")) == before
