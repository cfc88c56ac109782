"""Conditions: which runs they hold for, and what is said of those that make no sense."""

import operator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run

from runner.errors import UserError
from runner.report.facts import Facts
from runner.report.runs import Found, find
from runner.report.where import parse
from runner.runs.status import Status


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Facts]:
    """Four runs: a complete one, one that failed at once, one with SGD half-way, one that was pruned."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(
        folder / "done",
        {"optimizer.lr": 0.1},
        best=0.9,
        metrics={"val/accuracy": 0.9, "val/loss": 0.5, "train/loss": 0.1},
    )
    make_run(folder / "failed", {"optimizer.lr": 0.001, "seed": 1}, state="failed", epoch=0, error="the loss is nan")
    make_run(
        folder / "sgd-half",
        {"optimizer.momentum": 0.9, "optimizer.lr": 0.01, "model.hidden": [8, 4]},
        choices={"optimizer": "sgd", "regularization": ["clip", "ema"]},
        state="interrupted",
        epoch=5,
        best=0.7,
        metrics={"val/accuracy": 0.6, "val/loss": 0.2, "train/loss": 0.3},
    )
    make_run(
        folder / "pruned",
        {"seed": 2, "tracking.graph": False},
        choices={"model": "lenet"},
        state="pruned",
        created="2026-11-22T00:00:00+00:00",
    )
    return [Facts(run) for run in find(folder)]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("state == failed", {"failed"}),
        ("status=failed", {"failed"}),
        ("optimizer.lr<0.01", {"failed", "pruned"}),
        ("optimizer.lr <= 1e-2 and status != pruned", {"failed", "sgd-half"}),
        ("0.001 < optimizer.lr < 0.1", {"sgd-half"}),
        ("optimizer.lr<0.01 and status==failed", {"failed"}),
        ("state==failed or state==pruned", {"failed", "pruned"}),
        ("not state==failed", {"done", "sgd-half", "pruned"}),
        ("not (state==failed or optimizer.lr>0.05)", {"sgd-half", "pruned"}),
        ("seed==1 or seed==2 and state==pruned", {"failed", "pruned"}),  # and binds more strongly
        ("(seed==1 or seed==2) and state==pruned", {"pruned"}),
        ("seed in [1, 2]", {"failed", "pruned"}),
        ("seed not in (1, 2)", {"done", "sgd-half"}),
        ("model in [lenet, unet]", {"pruned"}),
        ("model == mlp and optimizer == sgd", {"sgd-half"}),
        ("model.hidden == [8, 4]", {"sgd-half"}),
        ("tracking.graph == false", {"pruned"}),
        ("tracking.graph", {"done", "failed", "sgd-half"}),
        ("not tracking.graph", {"pruned"}),
        ("tracking.graph == 0", set()),  # false is no number
        ("val/accuracy > 0.8", {"done"}),
        ("val/loss < train/loss", {"sgd-half"}),  # a metric on either side
        ("epoch < epochs", {"failed", "sgd-half"}),
        ("best == null", {"failed", "pruned"}),
        ("best > 0 or best <= 0", {"done", "sgd-half"}),  # what is not there is neither
        ("optimizer.momentum != 0.9", {"done", "failed", "pruned"}),
        ("regularization.l2 == null", {"done", "failed", "sgd-half", "pruned"}),
        ("error ~ nan", {"failed"}),
        ("run ~ '*/sgd-*'", {"sgd-half"}),
        ("run ~ sgd", {"sgd-half"}),
        ("run !~ sgd and state !~ 'p*'", {"done", "failed"}),
        ("regularization ~ ema", {"sgd-half"}),
        ("model._target_ ~ *.MLP", {"done", "failed", "sgd-half", "pruned"}),
        ("name == 'mlp-digits' and created >= 2026-11-21", {"pruned"}),
        ('error == "the loss is nan"', {"failed"}),
    ],
)
def test_a_condition_holds_for_the_runs_that_it_describes(runs: list[Facts], condition: str, names: set[str]) -> None:
    assert {run.run.path.name for run in parse(condition).chosen(runs)} == names


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("error ~ 0003", {"one"}),
        ("error ~ 1e3", {"two"}),
        ("error !~ best", {"two"}),  # which is the name of a field, too
        ("tracking.graph ~ true", {"one", "two"}),
    ],
)
def test_what_a_text_has_in_it_is_taken_as_it_was_typed(tmp_path: Path, condition: str, names: set[str]) -> None:
    make_run(tmp_path / "one", error="run 0003: no best epoch")
    make_run(tmp_path / "two", error="after 1e3 updates, 1000.0 s and 3 epochs")
    assert {run.run.path.name for run in parse(condition).chosen([Facts(run) for run in find(tmp_path)])} == names


def test_figures_that_are_no_numbers_can_be_asked_for(tmp_path: Path) -> None:
    make_run(tmp_path / "diverged", metrics={"val/loss": float("nan")})
    make_run(tmp_path / "sound", metrics={"val/loss": 0.5})
    runs = [Facts(run) for run in find(tmp_path)]
    assert [run.run.path.name for run in parse("val/loss == nan").chosen(runs)] == ["diverged"]
    assert [run.run.path.name for run in parse("val/loss != nan").chosen(runs)] == ["sound"]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("", "at its end\n  expected: a name or a value"),
        ("optimizer.lr <", "at its end\n  expected: a name or a value"),
        ("(seed == 1", "at its end\n  expected: a closing bracket"),
        ("seed == 1)", "at '\\)'\n  expected: 'and', 'or' or the end"),
        ("seed == 1 seed == 2", "at 'seed == 2'\n  expected: 'and', 'or' or the end"),
        ("seed in 1", "at '1'\n  expected: values in brackets"),
        ("seed not 1", "at '1'\n  expected: in"),
        ("seed in [1 2]", "at '2\\]'\n  expected: a comma"),
        ("run == 'x", "at ''x'\n  expected: the other quotation mark"),
        ("3", "at its end\n  expected: an operator"),
        ("seed ! 1", "at '! 1'\n  expected: a name, a value or an operator"),
        ("and seed", "at 'and seed'\n  expected: a name or a value"),
        ("state in [failed, prund]", "prund is not a state\n.*\n  nearest:  pruned"),
        ("state == fialed", "fialed is not a state\n  expected: created, running, .*\n  nearest:  failed"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_where_it_stops_making_sense(condition: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse(condition)


@pytest.mark.parametrize(
    ("condition", "name", "close"),
    [
        ("optimzer.lr < 1", "optimzer.lr", "optimizer.lr"),
        ("lr < 1", "lr", "optimizer.lr"),
        ("val/acuracy > 0", "val/acuracy", "val/accuracy"),
        ("stat == failed", "stat", "state"),
        ("state == failed and optimzer.lr < 1", "optimzer.lr", "optimizer.lr"),
        ("state == running and optimzer.lr < 1", "optimzer.lr", "optimizer.lr"),  # of which there is none
    ],
)
def test_a_name_that_no_run_has_is_refused_with_the_nearest(
    runs: list[Facts], condition: str, name: str, close: str
) -> None:
    with pytest.raises(UserError, match=f"no run has {name}\n.*\n  nearest:  {close}$"):
        parse(condition).chosen(runs)


def test_values_that_have_no_order_are_told(runs: list[Facts]) -> None:
    with pytest.raises(UserError, match=r"0\.1 < 'high' says nothing"):
        parse("optimizer.lr < high").chosen(runs[-1:] if runs[-1].value("optimizer.lr") == 0.1 else runs)


def test_nothing_is_refused_where_there_are_no_runs() -> None:
    assert parse("optimizer.lrr < 1").chosen([]) == []


# Conditions over two fields, built with what they come to in Python.
_COMPARED = st.tuples(
    st.sampled_from(["epoch", "step"]), st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), st.integers(-3, 3)
)
_SIGNS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}
_TREES = st.recursive(
    _COMPARED,
    lambda inner: st.tuples(st.just("not"), inner) | st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    max_leaves=8,
)


def _text(tree: Any) -> str:
    if tree[0] == "not":
        return f"not ({_text(tree[1])})"
    if tree[0] in ("and", "or"):
        return f"({_text(tree[1])}) {tree[0]} ({_text(tree[2])})"
    return f"{tree[0]} {tree[1]} {tree[2]}"


def _value(tree: Any, of: dict[str, int]) -> bool:
    if tree[0] == "not":
        return not _value(tree[1], of)
    if tree[0] in ("and", "or"):
        values = _value(tree[1], of), _value(tree[2], of)
        return all(values) if tree[0] == "and" else any(values)
    return bool(_SIGNS[tree[1]](of[tree[0]], tree[2]))


@given(_TREES, st.integers(-3, 3), st.integers(-3, 3))
def test_conditions_of_any_depth_mean_what_they_mean_in_logic(tree: Any, epoch: int, step: int) -> None:
    run = Facts(Found(Path("run"), Status(epoch=epoch, step=step), "completed"))
    assert bool(parse(_text(tree)).chosen([run])) == _value(tree, {"epoch": epoch, "step": step})
