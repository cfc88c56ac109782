"""The shipped data options, by their files: what they name exists, and what they say is true."""

import inspect
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from runner.build import build, locate
from runner.data.source import Source
from runner.data.stats import channel_stats

FOLDER = Path(__file__).parents[2] / "conf" / "data"
OPTIONS = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "base")
EMBEDDED = ["digits", "digits_32", "shapes"]


def load(option):
    """An option with the options of its defaults list that stand beside it merged in, itself last."""
    content = yaml.safe_load((FOLDER / f"{option}.yaml").read_text())
    merged = {}
    for other in content.pop("defaults"):
        if isinstance(other, str) and other not in ("_self_", "base"):
            merged |= load(other)
    return merged | content


def source_of(option, **settings):
    data = load(option)
    node = {**data["source"], **settings}
    return build({key: data["channels"] if value == "${data.channels}" else value for key, value in node.items()})


def test_there_are_options():
    assert set(EMBEDDED) < set(OPTIONS)
    assert len(OPTIONS) >= 9


@pytest.mark.parametrize("option", OPTIONS)
def test_the_source_takes_exactly_the_settings_that_are_listed(option):
    node = load(option)["source"]
    target = locate(node.pop("_target_"))
    assert set(node) == set(inspect.signature(target).parameters)


@pytest.mark.parametrize("option", OPTIONS)
def test_constructing_a_source_opens_nothing(option):
    settings = dict.fromkeys((key for key, value in load(option)["source"].items() if value == "???"), "/nowhere")
    assert isinstance(source_of(option, **settings), Source)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_setting_has_a_comment_above_it_and_the_file_a_header(option):
    lines = (FOLDER / f"{option}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    body = lines[lines.index("  - _self_") + 1 :]
    for previous, line in pairwise(body):
        if not line.lstrip().startswith(("#", "_target_")):
            assert previous.lstrip().startswith("#") or line in ("source:", "split:"), line


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_names_its_task(option):
    assert "override /task@_global_.task:" in (FOLDER / f"{option}.yaml").read_text() or option == "digits_32"


@pytest.mark.parametrize("option", EMBEDDED)
def test_an_embedded_option_says_of_its_data_what_is_true(option):
    data, source = load(option), source_of(option)
    samples = source.read(tuple(data["image_size"]))
    assert samples.inputs[0].shape[1:] == (data["channels"], *data["image_size"])
    assert len(np.unique(samples.targets)) == data["num_classes"] == source.facts().num_classes
    mean, std = channel_stats(samples.inputs[0])
    assert data["normalize"]["mean"] == pytest.approx(mean, abs=0.01)
    assert data["normalize"]["std"] == pytest.approx(std, abs=0.01)


@pytest.mark.parametrize("option", ["mnist", "fashion_mnist", "cifar10"])
def test_a_published_option_says_what_its_source_knows(option):
    data, facts = load(option), source_of(option).facts()
    assert (data["channels"], tuple(data["image_size"]), data["num_classes"]) == (
        facts.channels,
        facts.image_size,
        facts.num_classes,
    )
