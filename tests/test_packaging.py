"""What a user gets who has the wheel and no checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pinned_versions() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins), "a name and a version, nothing else"
    return dict(pin.split("==") for pin in pins)


def test_constraints_pin_every_dependency_to_one_version() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    requirements = [
        *pyproject["build-system"]["requires"],
        *project["dependencies"],
        *project["optional-dependencies"]["export"],
        *project["optional-dependencies"]["dev"],
    ]
    names = {re.match(r"[A-Za-z0-9._-]+", requirement).group().lower() for requirement in requirements}  # type: ignore[union-attr]
    assert "torch" in names
    assert names - {project["name"]} <= pinned_versions().keys()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as a release is."""
    dist = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, ROOT, cwd=dist)
    (built,) = dist.glob("experiment_runner-*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_the_package_its_types_and_every_configuration_file(wheel: Path) -> None:
    folders = (ROOT / "runner", ROOT / "hydra_plugins")
    sources = {file.relative_to(ROOT).as_posix() for folder in folders for file in folder.rglob("*.py")}
    options = {f"runner/{file.relative_to(ROOT).as_posix()}" for file in (ROOT / "conf").rglob("*.yaml")}
    assert "runner/cli.py" in sources
    assert "runner/conf/config.yaml" in options
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    page = {f"runner/report/page/{name}" for name in ("page.html", "page.js", "style.css")}
    assert packed == {*sources, *options, *page, "runner/py.typed"}


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel in it."""

    bin: Path

    def train(self, *overrides: str, folder: Path) -> dict[str, object]:
        """Run ``runner train`` in a folder and give the status of the only run there."""
        run(self.bin / "runner", "train", *overrides, cwd=folder)
        (status,) = (folder / "outputs").glob("**/status.json")
        return dict(json.loads(status.read_text()))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel in an environment that has the dependencies of this one, but not this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    # The .pth files of a folder that a .pth file names are not followed: an editable install there stays out of sight.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    scripts = Path(sysconfig.get_path("scripts", "venv", vars=scheme))
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        scripts / "python",
        "install",
        "--no-index",
        "--no-deps",
        wheel,
        cwd=folder,
    )
    where = run(scripts / "python", "-c", "import runner; print(runner.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(packages)
    return Installation(scripts)


@pytest.mark.slow
def test_installed_wheel_trains_in_an_empty_folder(installed: Installation, tmp_path: Path) -> None:
    assert installed.train("epochs=1", folder=tmp_path)["state"] == "completed"


@pytest.mark.slow
def test_installed_wheel_trains_a_model_that_lies_beside_the_users_own_conf(
    installed: Installation, tmp_path: Path
) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mynet.yaml").write_text(
        "_target_: mynet.MyNet\n"
        "in_channels: ${data.channels}\n"
        "image_size: ${data.image_size}\n"
        "num_classes: ${data.num_classes}\n"
    )
    (tmp_path / "mynet.py").write_text(
        "from pathlib import Path\n"
        "from torch import nn\n"
        "class MyNet(nn.Sequential):\n"
        "    def __init__(self, in_channels, image_size, num_classes):\n"
        "        height, width = image_size\n"
        "        Path('built-with').write_text(f'{in_channels} {height} {width} {num_classes}')\n"
        "        super().__init__(nn.Flatten(), nn.Linear(in_channels * height * width, num_classes))\n"
    )
    status = installed.train("model=mynet", "epochs=1", folder=tmp_path)
    assert status["state"] == "completed"
    assert (tmp_path / "built-with").read_text() == "1 8 8 10"  # the digits: 8 x 8 grey pixels, ten classes


def run(*command: str | Path, cwd: Path) -> str:
    """What a command printed; an error that shows all of it if the command failed."""
    leaking = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in leaking}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
