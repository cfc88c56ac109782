"""Whose code a run directory may name: what only computes, and the user's own."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.build import build
from runner.config.paths import shipped_conf
from runner.errors import UserError
from runner.trust import Trust, targets

OF_TESTS = ("own_", "foreign_", "theirs", "planted", "innocent", "outputs")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test adds to the path, and imports from its own folder, is forgotten after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.startswith(OF_TESTS)]:
        del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with code of the user's own."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "own_net.py").write_text(
        "import os\nfrom subprocess import Popen\nfrom torch.nn import Linear\n"
        "class Net(Linear): pass\n"
        "def make(): ...\n"
    )
    (folder / "own_package").mkdir()
    (folder / "own_package" / "__init__.py").write_text("")
    (folder / "own_package" / "inner.py").write_text("class Net: pass\n")
    (folder / "own_folder").mkdir()
    (folder / "own_folder" / "inner.py").write_text("class Net: pass\n")
    (folder / "own_fault.py").write_text("raise RuntimeError('a fault')\n")
    return folder


@pytest.fixture
def check(project: Path) -> Callable[..., None]:
    """Checks the target of a run, as a command does in the user's project."""
    return lambda target, run=None, **trust: Trust((project,), **trust).check({"model": {"_target_": target}}, run)


HARMLESS = [
    "torch.nn.Linear",
    "torch.nn.CrossEntropyLoss",
    "torch.nn.functional.cross_entropy",
    "torch.optim.Adam",
    "torch.optim.lr_scheduler.StepLR",
    "torchvision.models.resnet18",
    "torchvision.models.ResNet",
    "torchvision.models.segmentation.fcn_resnet50",
    "torchvision.datasets.FakeData",
    "torchvision.transforms.v2.Resize",
    "torchmetrics.Accuracy",
    "torchmetrics.functional.accuracy",
    "runner.models.mlp.MLP",
]
OWN = ["own_net.Net", "own_net.make", "own_net.Linear", "own_package.inner.Net", "own_folder.inner.Net"]


@pytest.mark.parametrize("target", HARMLESS)
def test_what_only_computes_may_be_named_by_any_run(check: Callable[..., None], target: str) -> None:
    check(target)


@pytest.mark.parametrize("target", OWN)
def test_the_users_own_code_may_be_named(check: Callable[..., None], target: str) -> None:
    check(target)


@pytest.mark.slow  # imports torchmetrics and all of torchvision
def test_every_option_that_is_shipped_may_be_named(check: Callable[..., None]) -> None:
    plugins = shipped_conf() / "hydra"  # Hydra builds them; no run names them
    files = [file for file in sorted(shipped_conf().rglob("*.yaml")) if not file.is_relative_to(plugins)]
    named = {target for file in files for _, target in targets(yaml.safe_load(file.read_text()))}
    assert len(named) > 20
    for target in named:
        check(target)


FOREIGN = [
    # What runs commands or code that it is given.
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "runpy.run_path",
    "pydoc.locate",
    "importlib.import_module",
    "sys.exit",
    # What loads what somebody else has pickled, or code.
    "pickle.load",
    "torch.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "torch.serialization.load",
    "torch.utils.cpp_extension.load",
    "torchvision.datasets.LSUN",
    "torchvision.models.resnet._resnet",
    "torchvision.models._api.WeightsEnum.get_state_dict",
    "torchvision.models._utils._make_divisible",
    # A class of torch that starts a process when it is made.
    "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler",
    # Functions of this program that write files.
    "runner.runs.directory.create",
    "runner.runs.files.write_atomic",
    "runner.cli.main",
    # What a module of the user's has imported from elsewhere.
    "own_net.Popen",
    # Other names.
    "numpy.load",
    "pytest.main",
    "no_such_module.Net",
    "os",
    "",
    ".",
    ".os.system",
    "__main__.main",
    "../own_net.Net",
    "own folder.Net",
]


@pytest.mark.parametrize("target", FOREIGN)
def test_anything_else_is_refused_by_its_name(check: Callable[..., None], target: str) -> None:
    with pytest.raises(UserError) as refusal:
        check(target)
    assert f"model._target_: {target} is not run: " in str(refusal.value)
    package = target.partition(".")[0]
    assert f"say that you trust it: --trust {package}" in str(refusal.value)


@pytest.mark.parametrize(
    "target", ["torch.os.system", "torch.nn.functional.importlib.import_module", "own_net.os.system"]
)
def test_a_module_is_not_reached_through_one_that_imports_it(check: Callable[..., None], target: str) -> None:
    Trust((Path.cwd(),)).make_importable()
    with pytest.raises(UserError, match=r"does not exist: .* is no part of"):
        build({"_target_": target})
    if not target.startswith("own_"):  # the user's own is told when it is built
        with pytest.raises(UserError, match=r"does not exist: .* is no part of"):
            check(target)


def test_nothing_of_what_is_refused_is_imported(check: Callable[..., None], project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "foreign_net.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\nclass Net: pass\n"
    )
    sys.path.append(str(elsewhere))
    with pytest.raises(UserError, match=r"model\._target_: foreign_net\.Net is not run"):
        check("foreign_net.Net")
    assert "foreign_net" not in sys.modules
    assert not (tmp_path / "ran").exists()

    check("foreign_net.Net", packages=("foreign_net",))
    check("foreign_net.Net", everything=True)
    Trust((project, elsewhere)).check({"model": {"_target_": "foreign_net.Net"}})


def test_every_target_is_found_however_nested_and_all_are_told_together(project: Path) -> None:
    config = {
        "model": {"_target_": "torch.nn.Linear", "hook": {"_target_": "os.system", "command": "true"}},
        "loss": {"terms": [{"a": [[{"_target_": "subprocess.Popen", "_partial_": True}]]}]},
        "data": {"source": {"_target_": "own_net.Net", "x": {"y": {"_target_": "builtins.eval"}}}},
    }
    with pytest.raises(UserError) as refusal:
        Trust((project,)).check(config)
    told = [line.partition(" is not run")[0] for line in str(refusal.value).splitlines() if not line.startswith("  ")]
    assert told == [
        "model.hook._target_: os.system",
        "loss.terms.0.a.0.0._target_: subprocess.Popen",
        "data.source.x.y._target_: builtins.eval",
    ]


# --- code that lies in a run directory --------------------------------------------------------------------------------


@pytest.fixture
def run(project: Path) -> Path:
    """A run directory of somebody else in the user's project, with a module that leaves a trace when it is imported."""
    folder = project / "theirs"
    folder.mkdir()
    for name in ("config.yaml", "status.json"):
        (folder / name).write_text("")
    (folder / "planted.py").write_text("import pathlib\npathlib.Path('ran').touch()\nclass Net: pass\n")
    return folder


def test_code_in_the_run_directory_is_not_the_users_own(check: Callable[..., None], run: Path, project: Path) -> None:
    with pytest.raises(UserError, match=r"theirs\.planted\.Net is not run"):
        check("theirs.planted.Net", run)
    assert not (project / "ran").exists()


def test_code_in_another_run_directory_is_not_either(check: Callable[..., None], run: Path, project: Path) -> None:
    with pytest.raises(UserError, match=r"theirs\.planted\.Net is not run"):
        check("theirs.planted.Net", project / "another")


def test_nor_is_it_for_somebody_who_stands_in_the_run_directory(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    with pytest.raises(UserError, match=r"planted\.Net is not run"):
        Trust((run,)).check({"model": {"_target_": "planted.Net"}}, run)
    assert not (run / "ran").exists()


def test_nor_by_a_link_into_it(check: Callable[..., None], run: Path, project: Path) -> None:
    (project / "innocent.py").symlink_to(run / "planted.py")
    with pytest.raises(UserError, match=r"innocent\.Net is not run"):
        check("innocent.Net", run)


def test_names_that_python_itself_could_not_import_are_nobodys(check: Callable[..., None], project: Path) -> None:
    folder = project / "outputs" / "2026-11-20"
    folder.mkdir(parents=True)
    (folder / "planted.py").write_text("class Net: pass\n")
    with pytest.raises(UserError, match="is not run"):
        check("outputs.2026-11-20.planted.Net")


# --- what is left to the building -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["own_fault.Net", "own_net.Missing"])
def test_a_fault_in_the_users_own_code_is_told_when_it_is_built(check: Callable[..., None], target: str) -> None:
    check(target)


def test_installed_packages_keep_their_names(project: Path, check: Callable[..., None]) -> None:
    (project / "torch.py").write_text("raise RuntimeError('not torch')\n")
    check("torch.nn.Linear")
    assert sys.path[-1] == str(project)


def test_whoever_has_typed_the_configuration_may_name_anything(check: Callable[..., None]) -> None:
    check("subprocess.Popen", everything=True)


def no_target() -> dict[str, Any]:
    return {"a": {"_target_": None}, "b": [1, "x"], "_target_": 3}


def test_a_target_that_is_no_name_is_none(project: Path) -> None:
    assert list(targets(no_target())) == []
