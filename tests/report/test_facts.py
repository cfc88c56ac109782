"""What is known of a run by name, and that reading only what is needed gives what reading everything gives."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_runs import CONFIG, changed, make_run

from runner import yaml_text
from runner.config.leaves import leaves
from runner.report.facts import Facts, known_to_none
from runner.report.runs import find


@pytest.fixture
def run(tmp_path: Path) -> Facts:
    make_run(
        tmp_path / "run",
        {"optimizer.lr": 1e-5, "model.hidden": [8, 4]},
        choices={"model": "mlp", "regularization": ["clip", "ema"]},
        metrics={"val/accuracy": 0.75},
        best=0.8,
        error="the loss is nan\n  where: step 3",
    )
    return Facts(find(tmp_path)[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer.lr", 1e-5),
        ("model.hidden", [8, 4]),
        ("regularization.ema.decay", None),
        ("seed", 0),
        ("name", "mlp-digits"),
        ("model", "mlp"),
        ("regularization", ["clip", "ema"]),
        ("val/accuracy", 0.75),
        ("best", 0.8),
        ("state", "completed"),
        ("status", "completed"),
        ("epoch", 10),
        ("error", "the loss is nan\n  where: step 3"),
        ("created", "2026-11-20T13:20:33+00:00"),
    ],
)
def test_settings_groups_metrics_and_the_status_are_known_by_name(run: Facts, name: str, value: Any) -> None:
    assert run.has(name)
    assert run.value(name) == value


@pytest.mark.parametrize("name", ["optimizer.momentum", "optimizer.lr.x", "optimiser", "val/f1", "ema.decay", ""])
def test_what_a_run_has_not_is_nothing(run: Facts, name: str) -> None:
    assert not run.has(name)
    assert run.value(name) is None
    assert known_to_none([run], ["seed", name]) == [name]


def test_every_name_is_told(run: Facts) -> None:
    assert {"state", "val/accuracy", "model", "optimizer.lr", "seed", "regularization.ema.decay"} <= set(run.names())
    assert all(run.has(name) for name in run.names())


@pytest.mark.parametrize("content", ["", "- 1\n", "seed: [\n", "\x00"])
def test_a_configuration_that_cannot_be_read_has_no_settings(tmp_path: Path, content: str) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "config.yaml").write_text(content)
    (folder / "overrides.yaml").unlink()
    facts = Facts(find(tmp_path)[0])
    assert (facts.settings, facts.choices, facts.typed) == ({}, {}, ())
    assert facts.value("seed") is None


def test_settings_are_those_of_the_shipped_configuration(new_run: Any) -> None:
    run = new_run("model=unet", "optimizer=sgd", "regularization=[clip,ema]", "data.normalize={mean: [0.5], std: [2]}")
    facts = Facts(find(run.path)[0])
    assert facts.settings == leaves(yaml.safe_load(run.config_file.read_text()))
    assert len(facts.settings) > 80
    assert facts.value("optimizer") == "sgd"


# Keys as configurations have them, and any text, number or nested list for a value.
_KEYS = st.from_regex(r"[a-z_][a-z_0-9]{0,8}", fullmatch=True)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3))


@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_blocks_of_a_file_together_are_the_file(config: dict[str, Any]) -> None:
    text = yaml_text.dump(config)
    found = yaml_text.blocks(text)
    whole: dict[str, Any] = {}
    for block in found.values():
        whole |= yaml_text.load_block(block)
    assert whole == yaml_text.load(text) == config


def test_a_value_that_stands_in_two_groups_is_read_in_both(tmp_path: Path) -> None:
    """YAML writes the second as a reference to the first."""
    folder = make_run(tmp_path / "run")
    size = [8, 8]
    config = changed(CONFIG, {})
    config["data"]["image_size"] = config["model"]["image_size"] = size
    (folder / "config.yaml").write_text(yaml_text.dump(config))
    assert "*id001" in (folder / "config.yaml").read_text()
    facts = Facts(find(tmp_path)[0])
    assert facts.value("data.image_size") == facts.value("model.image_size") == [8, 8]
    assert facts.settings == leaves(config)
