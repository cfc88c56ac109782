"""A run directory of somebody else: it can be looked at, and runs nothing but what is trusted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults import command, contents, done, train

COMMANDS = {
    "eval": ("eval", "theirs"),
    "resume": ("resume", "theirs"),
    "resume with a change": ("resume", "theirs", "epochs=5"),
    "reproduce": ("reproduce", "theirs"),
}


@pytest.fixture(scope="session")
def made_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that somebody else has made."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert done(folder, train)[0] == 0
    return folder / "run"


@pytest.fixture
def theirs(home: Path, made_elsewhere: Path) -> Path:
    """Their run in the user's folder, and stopped, so that there is something to resume."""
    shutil.copytree(made_elsewhere, home / "theirs")
    return home / "theirs"


def change(run: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Let their run say something else."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    edit(config)
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def unfinished(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))


def test_it_can_be_evaluated_listed_and_reproduced(home: Path, theirs: Path) -> None:
    was = contents(theirs)
    assert done(home, command, "eval", "theirs")[0] == 0
    code, text = done(home, command, "ls", ".")
    assert (code, "theirs" in text) == (0, True)
    code, text = done(home, command, "reproduce", "theirs")
    assert (code, "identical: " in text) == (0, True), text
    assert contents(theirs) == was


SPY = "import pathlib\npathlib.Path('ran').touch()\nfrom torch import nn\nclass Net(nn.Linear): pass\n"

EVIL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "os.system": lambda config: config["loss"].update({"_target_": "os.system", "command": "touch ran"}),
    "subprocess.Popen": lambda config: config["data"]["augment"].append(
        {"_target_": "theirs.planted.Net", "inner": [[{"_target_": "subprocess.Popen", "args": ["touch", "ran"]}]]}
    ),
    "builtins.eval": lambda config: config["data"]["augment"].append({"_target_": "builtins.eval", "source": "1"}),
    "torch.hub.load": lambda config: config["optimizer"].update({"_target_": "torch.hub.load"}),
    "theirs.planted.Net": lambda config: config["model"].update({"_target_": "theirs.planted.Net"}),
    "installed_elsewhere.Net": lambda config: config["model"].update({"_target_": "installed_elsewhere.Net"}),
}


@pytest.mark.parametrize("typed", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("target", EVIL)
def test_code_of_theirs_is_refused_by_name_before_anything_is_imported_or_written(
    home: Path, theirs: Path, target: str, typed: tuple[str, ...]
) -> None:
    change(theirs, EVIL[target])
    (theirs / "planted.py").write_text(SPY)
    if typed[0] == "resume":
        unfinished(theirs)
    was = contents(home)
    code, text = done(home, command, *typed)
    assert code == 2, text
    assert f"{target} is not run: " in text
    assert "Traceback" not in text
    assert contents(home) == was
    assert not (home / "ran").exists()


def test_a_module_that_torch_imports_is_not_torchs(home: Path, theirs: Path) -> None:
    change(theirs, lambda config: config["loss"].update({"_target_": "torch.os.system", "command": "touch ran"}))
    code, text = done(home, command, "eval", "theirs")
    assert code == 2
    assert "torch.os.system does not exist: os is no part of torch" in text
    assert not (home / "ran").exists()


OWN = "from torch import nn\nclass Net(nn.Sequential):\n    def __init__(self, channels, image_size, outputs):\n"
OWN += "        super().__init__(nn.Flatten(), nn.Linear(channels * image_size[0] * image_size[1], outputs))\n"


def train_own(*options: str) -> int:
    return command("train", "run_dir=own", "epochs=1", "tracking.graph=false", "model=own", "device=cpu", *options)


def have_own_model(folder: Path) -> None:
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "own.yaml").write_text(
        "_target_: own_net.Net\nchannels: ${data.channels}\nimage_size: ${data.image_size}\noutputs: ${task.outputs}\n"
    )
    (folder / "own_net.py").write_text(OWN)


def test_ones_own_code_in_the_current_folder_needs_no_permission(home: Path) -> None:
    have_own_model(home)
    code, text = done(home, train_own)
    assert code == 0, text
    for typed in (("eval", "own"), ("resume", "own", "epochs=2")):
        code, text = done(home, command, *typed)
        assert code == 0, text


def test_code_elsewhere_needs_it(home: Path, tmp_path: Path) -> None:
    have_own_model(home)
    assert done(home, train_own)[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    (home / "own").rename(other / "own")
    code, text = done(other, command, "eval", "own")
    assert code == 2
    assert "model._target_: own_net.Net is not run: " in text
    assert "say that you trust it: --trust own_net" in text
    code, text = done(other, command, "eval", "own", "--trust", str(home))
    assert code == 0, text
