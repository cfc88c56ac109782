"""A pretended Slurm for tests that take no time, and a real one for those that are marked slurm."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from needed import what_is_missing
from pretended import PROGRAM, FakeSlurm, make_sweep

from runner.config.compose import Composer
from runner.config.launching import slurm_launcher
from runner.config.paths import Places
from runner.config.sections.launching import SlurmLauncher
from runner.config.shorthand import written_out
from runner.runs.sweep_directory import SweepDirectory


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_slurm = [item for item in items if item.get_closest_marker("slurm")]
    if on_slurm and what_is_missing():  # which the summary says
        config.hook.pytest_deselected(items=on_slurm)
        items[:] = [item for item in items if item not in on_slurm]


@pytest.fixture
def fake_slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Commands of Slurm on the PATH; the first job that is submitted gets the number 41."""
    folder = tmp_path_factory.mktemp("fake-slurm")
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "scancel", "sacct", "sinfo", "srun"):
        (programs / name).write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
        (programs / name).chmod(0o755)
    (folder / "sbatch").write_text("41")
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    return FakeSlurm(folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.fixture
def sweep(project: Path) -> SweepDirectory:
    """A sweep of five runs, as far as launching looks at them."""
    return make_sweep(project / "outputs" / "sweep", range(5))


@pytest.fixture
def settings(project: Path) -> Callable[..., SlurmLauncher]:
    """The settings for what is typed."""
    return lambda *typed: slurm_launcher(Composer(Places.find(None, project)), written_out(typed))
