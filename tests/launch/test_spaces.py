"""What a study chooses from."""

import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from runner.config.files import ConfigFiles
from runner.config.paths import Places
from runner.errors import UserError
from runner.launch.spaces import spaces


def space(text: str):
    override = OverridesParser.create().parse_override(text)
    (found,) = spaces({"key": override})[0].values()
    return found


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a=interval(0.1,2)", FloatDistribution(0.1, 2.0)),
        ("a=tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("a=int(interval(1,8))", IntDistribution(1, 8)),
        ("a=tag(log,int,interval(1,64))", IntDistribution(1, 64, log=True)),
        ("a=range(16,129,16)", IntDistribution(16, 128, step=16)),
        ("a=range(3)", IntDistribution(0, 2)),
        ("a=range(0.0,1.0,0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("a=adam,sgd", CategoricalDistribution(["adam", "sgd"])),
        ("a=choice([64],[64,32])", CategoricalDistribution(["[64]", "[64,32]"])),
    ],
)
def test_a_sweep_of_hydras_is_a_distribution_of_optunas(typed: str, expected: object) -> None:
    assert space(typed).distribution == expected


def test_a_value_is_typed_with_the_key_and_its_sign() -> None:
    assert space("+a=interval(0,1)").override(0.25) == "+a=0.25"


def test_before_a_study_starts_the_ends_of_ranges_and_all_options_are_tried() -> None:
    assert space("a=interval(0.1,2)").edges() == [0.1, 2.0]
    assert space("a=int(interval(3,3))").edges() == [3]
    assert space("a=x,y,z").edges() == ["x", "y", "z"]


def test_what_is_not_swept_is_the_same_for_all() -> None:
    parser = OverridesParser.create()
    overrides = {text: parser.parse_override(text) for text in ("epochs=3", "a=1,2", "~b")}
    found, fixed = spaces(overrides)
    assert list(found) == ["a=1,2"]
    assert fixed == ["epochs=3", "~b"]


def test_a_logarithm_that_does_not_exist_is_told_in_the_words_of_optuna() -> None:
    with pytest.raises(UserError, match=r"a=tag\(log,interval\(0,1\)\) is nothing to choose from: .*low > 0"):
        space("a=tag(log,interval(0,1))")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("a=tag(log,interval(1e-4,1e-1))", "0.0001 to 0.1, log"),
        ("a=range(16,129,16)", "16 to 128, step 16"),
        ("a=int(interval(1,8))", "1 to 8, whole numbers"),
        ("a=adam,sgd", "adam, sgd"),
    ],
)
def test_a_space_is_described_for_people(typed: str, words: str) -> None:
    assert space(typed).describe() == words


@pytest.mark.parametrize("text", ["a=range(0,0)", "a=range(0,3,0)", "model=glob(nothing*)"])
def test_what_has_no_values_is_refused(text: str, tmp_path: Path) -> None:
    parser = OverridesParser.create(config_loader=ConfigFiles(Places.find(None, tmp_path)).loader)
    with pytest.raises(UserError, match=re.escape(f"{text} is nothing to choose from")):
        spaces({"a": parser.parse_overrides([text])[0]})
