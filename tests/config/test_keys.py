"""Keys beside a ``_target_``: of the file where it is shipped, of the signature elsewhere."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.config.compose import Composed, Composer
from runner.config.paths import Places
from runner.errors import UserErrors

MODULE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, outputs, width=8, *, depth=1):
        super().__init__()
        if width == 13:
            raise RuntimeError("thirteen is too much for me")


class Dots:
    classes = ["few", "many"]

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        import torch

        return torch.zeros(3, 5, 7), index % 2


class Sums(Dots):
    classes = None


def anything(**settings):
    return Net(1, 1)


number = 3
"""
NET = "_target_: own_parts.Net\nchannels: ${data.channels}\noutputs: ${task.outputs}\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes an option into conf/, beside which the module own_parts lies: ``write("model/net", ...)``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    (tmp_path / "own_parts.py").write_text(MODULE)

    def to(option: str, text: str) -> None:
        file = tmp_path / "conf" / f"{option}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    yield to
    sys.modules.pop("own_parts", None)


def compose(*typed: str) -> Composed:
    return Composer(Places.find(None, Path.cwd())).compose(typed)


def refused(*typed: str) -> list[str]:
    with pytest.raises(UserErrors) as refusal:
        compose(*typed)
    return [str(error) for error in refusal.value.errors]


# --- library classes --------------------------------------------------------------------------------------------------


def test_a_file_of_the_users_may_give_any_argument_of_a_library_class(write: Callable[[str, str], None]) -> None:
    write("optimizer/mine", "_target_: torch.optim.Adam\nlr: 0.01\namsgrad: true\n")
    assert compose("optimizer=mine").config["optimizer"] == {
        "_target_": "torch.optim.Adam",
        "lr": 0.01,
        "amsgrad": True,
    }


def test_a_file_of_the_users_may_leave_out_what_has_a_default(write: Callable[[str, str], None]) -> None:
    write("optimizer/mine", "_target_: torch.optim.SGD\nlr: 0.01\n")
    assert compose("optimizer=mine").config["optimizer"] == {"_target_": "torch.optim.SGD", "lr": 0.01}


def test_an_argument_can_be_added_to_an_option_of_the_users(write: Callable[[str, str], None]) -> None:
    write("optimizer/mine", "defaults: [adam, _self_]\nlr: 0.01\n")
    assert compose("optimizer=mine", "+optimizer.amsgrad=true").config["optimizer"]["amsgrad"] is True


def test_an_experiment_of_the_users_may_give_a_shipped_option_any_argument(write: Callable[[str, str], None]) -> None:
    write("experiment/first", "# @package _global_\noptimizer:\n  amsgrad: true\n")
    assert compose("experiment=first").config["optimizer"]["amsgrad"] is True


def test_a_shipped_option_takes_the_keys_of_its_file_alone(write: Callable[[str, str], None]) -> None:
    (message,) = refused("+optimizer.amsgrad=true")
    assert message == (
        "optimizer.amsgrad is not a setting of optimizer=adam\n"
        "  where:    +optimizer.amsgrad=true on the command line\n"
        "  expected: betas, eps, lr, weight_decay"
    )


def test_a_shipped_option_keeps_every_key_of_its_file(write: Callable[[str, str], None]) -> None:
    (message,) = refused("~optimizer.eps")
    assert message.startswith("optimizer.eps is not set\n  where:    ~optimizer.eps on the command line\n")


def test_an_argument_that_a_library_class_does_not_take_is_told_with_the_nearest(
    write: Callable[[str, str], None],
) -> None:
    write("optimizer/mine", "_target_: torch.optim.SGD\nlr: 0.1\nmomentun: 0.9\n")
    (message,) = refused("optimizer=mine")
    first, *hints = message.splitlines()
    assert first == "optimizer.momentun is not an argument of torch.optim.SGD"
    assert hints[0] == "  where:    conf/optimizer/mine.yaml"
    assert "lr, maximize, momentum, nesterov, weight_decay" in hints[1]
    assert "params" not in message, "that is for the program to give"
    assert hints[2:] == ["  nearest:  momentum", "  fix:      momentum in place of momentun"]


def test_the_values_of_a_library_class_are_checked_in_any_file(write: Callable[[str, str], None]) -> None:
    write("optimizer/mine", "_target_: torch.optim.Adam\nlr: fast\namsgrad: true\n")
    (message,) = refused("optimizer=mine")
    assert message.startswith("optimizer.lr=fast is not valid\n  where:    conf/optimizer/mine.yaml\n")


def test_a_key_that_is_not_in_the_users_file_is_told_with_the_plus_that_it_needs(
    write: Callable[[str, str], None],
) -> None:
    write("optimizer/mine", "_target_: torch.optim.Adam\nlr: 0.01\n")
    (message,) = refused("optimizer=mine", "optimizer.eps=0.1")
    assert message == (
        "optimizer.eps is not in conf/optimizer/mine.yaml\n"
        "  where:    optimizer.eps=0.1 on the command line\n"
        "  fix:      +optimizer.eps=0.1, or a line for eps in that file"
    )


# --- targets of the user's own ----------------------------------------------------------------------------------------


def test_arguments_of_an_own_class_are_its_signatures(write: Callable[[str, str], None]) -> None:
    write("model/net", NET)
    assert compose("model=net", "+model.depth=2").config["model"] == {
        "_target_": "own_parts.Net",
        "channels": 1,
        "outputs": 10,
        "depth": 2,
        "weights": None,
        "weights_except": [],
    }


def test_a_wrong_and_a_missing_argument_are_told_together_with_file_and_nearest(
    write: Callable[[str, str], None],
) -> None:
    write("model/net", "_target_: own_parts.Net\nchannels: 1\noutput: 10\n")
    assert refused("model=net") == [
        "model.output is not an argument of own_parts.Net\n"
        "  where:    conf/model/net.yaml\n"
        "  expected: channels, depth, outputs, width\n"
        "  nearest:  outputs\n"
        "  fix:      outputs in place of output",
        "model.outputs is not set, and own_parts.Net needs it\n"
        "  where:    conf/model/net.yaml\n"
        "  expected: a value\n"
        "  fix:      +model.outputs=VALUE",
    ]


@pytest.mark.parametrize(
    ("group", "target", "argument", "given"),
    [
        ("loss", "torch.nn.functional.l1_loss", "input", "the outputs and the targets"),
        (
            "scheduler",
            "torch.optim.lr_scheduler.StepLR",
            "optimizer",
            "the epochs trained so far and the epochs planned",
        ),
    ],
)
def test_a_function_in_place_of_a_class_is_told_what_objects_of_a_class_are_called_with(
    write: Callable[[str, str], None], group: str, target: str, argument: str, given: str
) -> None:
    write(f"{group}/own", f"_target_: {target}\n")
    message = refused(f"{group}=own")[0]
    assert message.startswith(f"{group}.{argument} is not set, and {target} needs it\n")
    assert f"expected: a value; or a class of yours, whose object is then called with {given}" in message
    assert "fix" not in message


def test_what_is_typed_for_an_own_class_is_told_as_typed(write: Callable[[str, str], None]) -> None:
    write("model/net", NET)
    (message,) = refused("model=net", "+model.widht=9")
    assert message.startswith("model.widht is not an argument of own_parts.Net\n  where:    +model.widht=9 on the")
    assert "nearest:  width" in message


def test_a_target_that_takes_anything_is_given_anything(write: Callable[[str, str], None]) -> None:
    write("model/net", "_target_: own_parts.anything\ncolour: blue\n")
    assert compose("model=net").config["model"]["colour"] == "blue"


def test_targets_within_an_own_target_are_held_to_their_signatures(write: Callable[[str, str], None]) -> None:
    write("model/net", "_target_: own_parts.anything\ninner:\n  _target_: torch.nn.Linear\n  in_features: 3\n")
    (message,) = refused("model=net")
    assert message.startswith("model.inner.out_features is not set, and torch.nn.Linear needs it\n")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("own_parts.Nit", "_target_: own_parts.Nit does not exist: own_parts has no Nit"),
        ("own_part.Net", "_target_: own_part.Net cannot be imported: there is no module own_part"),
        ("own_parts.number", "_target_: own_parts.number is no class or function, but int"),
    ],
)
def test_a_target_that_is_not_there_is_told_with_the_file(
    write: Callable[[str, str], None], target: str, told: str
) -> None:
    write("model/net", f"_target_: {target}\n")
    (message,) = refused("model=net")
    assert message.startswith(f"{told}\n  where:    conf/model/net.yaml")


def test_a_fault_in_an_own_module_shows_its_traceback_and_the_key_that_named_it(
    write: Callable[[str, str], None],
) -> None:
    Path("own_parts.py").write_text("1 / 0\n")
    write("model/net", NET)
    with pytest.raises(ZeroDivisionError) as fault:
        compose("model=net")
    assert fault.value.__notes__ == ["raised while model._target_ was being imported: own_parts.Net"]


# --- what an own Dataset says of itself -------------------------------------------------------------------------------

DOTS = """
defaults: [base, override /task@_global_.task: classification, _self_]
source:
  _target_: own_parts.Dots
  count: 6
channels: auto
image_size: auto
num_classes: auto
"""


def test_auto_asks_an_own_dataset(write: Callable[[str, str], None]) -> None:
    write("data/dots", DOTS)
    data = compose("data=dots").config["data"]
    assert (data["channels"], data["image_size"], data["num_classes"]) == (3, [5, 7], 2)


def test_auto_of_a_dataset_that_lists_no_classes_is_refused(write: Callable[[str, str], None]) -> None:
    write("data/dots", DOTS.replace("Dots", "Sums"))
    (message,) = refused("data=dots")
    assert message.startswith("data.num_classes: auto, but own_parts.Sums has no list named classes to count\n")
    assert compose("data=dots", "data.num_classes=2").config["data"]["channels"] == 3


def test_a_wrong_argument_of_an_own_dataset_is_told_once(write: Callable[[str, str], None]) -> None:
    write("data/dots", DOTS.replace("count", "number"))
    assert [message.splitlines()[0] for message in refused("data=dots")] == [
        "data.source.number is not an argument of own_parts.Dots",
        "data.source.count is not set, and own_parts.Dots needs it",
    ]


def test_a_fault_in_an_own_dataset_shows_its_traceback(write: Callable[[str, str], None]) -> None:
    write("data/dots", DOTS.replace("count: 6", "count: six"))
    with pytest.raises(TypeError) as fault:
        compose("data=dots")
    assert "data.source was asked for data.channels and data.image_size" in fault.value.__notes__[-1]
