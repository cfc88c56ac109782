"""A ``_target_`` becomes the object that it names."""

import functools
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from runner.build import build, locate
from runner.errors import UserError


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module ``built_here`` of the user's."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "built_here", raising=False)
    return tmp_path / "built_here.py"


def test_a_name_is_the_object_that_it_leads_to() -> None:
    assert locate("torch.nn.Linear") is nn.Linear
    assert locate("collections.OrderedDict.fromkeys") == OrderedDict.fromkeys


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("torch.nn.Linaer", r"torch\.nn\.Linaer does not exist: torch\.nn has no Linaer\n  nearest:  Linear"),
        ("no_such_module.Net", r"no_such_module\.Net cannot be imported: there is no module no_such_module\n"),
        ("no_such_module", r"no_such_module cannot be imported"),
        (
            "collections.abc",
            r"collections\.abc is a module\n  expected: a class or function in it: collections\.abc\.NAME",
        ),
        ("torch.optim.adamw", r"torch\.optim\.adamw is a module"),
        ("json", r"json is a module"),
        ("own:Net", r"own:Net is not a dotted name\n  expected: module\.name"),
        ("./own.py", r"\./own\.py is not a dotted name"),
        ("torch.os.system", r"torch\.os\.system does not exist: os is no part of torch"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_the_nearest(target: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        locate(target)


def test_a_module_of_the_users_that_imports_what_is_not_there_shows_its_own_traceback(own_module: Path) -> None:
    own_module.write_text("import no_such_package\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        locate("built_here.Net")


def test_a_fault_in_a_module_of_the_users_is_its_own(own_module: Path) -> None:
    own_module.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        locate("built_here.Net")


def test_the_other_keys_are_the_arguments() -> None:
    layer = build({"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2, "bias": False})
    assert (layer.in_features, layer.out_features, layer.bias) == (3, 2, None)


def test_further_arguments_come_before_and_beside_them() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = build({"_target_": "torch.optim.SGD", "lr": 0.5}, [weight], momentum=0.25)
    assert optimizer.param_groups[0]["params"] == [weight]
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.5, 0.25)


def test_nodes_within_nodes_and_lists_are_built_first() -> None:
    identity = {"_target_": "torch.nn.Identity"}
    node = {"_target_": "builtins.dict", "a": identity, "b": [identity, {"c": [identity]}], "d": {"e": 1}}
    built = build(node)
    assert [type(found) for found in (built["a"], built["b"][0], built["b"][1]["c"][0])] == [nn.Identity] * 3
    assert built["d"] == {"e": 1}


def test_with_partial_the_keys_are_bound_and_nothing_is_called() -> None:
    bound = build({"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 3}, out_features=2)
    assert isinstance(bound, functools.partial)
    assert bound().weight.shape == (2, 3)
    assert isinstance(build({"_target_": "torch.nn.ReLU", "_partial_": False}), nn.ReLU)


def test_the_node_is_left_as_it_was() -> None:
    node = {"_target_": "builtins.dict", "inner": {"_target_": "builtins.dict", "a": [1]}}
    build(node)
    assert node == {"_target_": "builtins.dict", "inner": {"_target_": "builtins.dict", "a": [1]}}


def test_wrong_and_missing_arguments_are_told_with_the_key_of_the_node() -> None:
    with pytest.raises(UserError) as refusal:
        build({"_target_": "torch.nn.Linear", "in_feature": 3, "out_features": 2}, key="model.output")
    assert str(refusal.value) == (
        "model.output.in_feature is not an argument of torch.nn.Linear\n"
        "  expected: bias, device, dtype, in_features, out_features\n"
        "  nearest:  in_features\n"
        "  fix:      in_features in place of in_feature\n"
        "model.output.in_features is not set, and torch.nn.Linear needs it\n"
        "  expected: a value\n"
        "  fix:      +model.output.in_features=VALUE"
    )


def test_what_a_constructor_raises_says_which_node_was_being_built() -> None:
    inner = {"_target_": "torch.nn.Linear", "in_features": "three", "out_features": 2}
    with pytest.raises(TypeError) as fault:
        build({"_target_": "builtins.dict", "layers": [inner]}, key="model")
    assert fault.value.__notes__ == ["raised while model.layers.0 was being built: _target_: torch.nn.Linear"]


def test_what_is_no_class_or_function_is_refused() -> None:
    with pytest.raises(UserError, match=r"math\.pi is no class or function, but float"):
        locate("math.pi")
