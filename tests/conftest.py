"""Things that tests of several parts start from."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from needed import what_is_missing

from runner.runs.directory import RunDirectory

# CI looks at the same examples each time, so that a change is judged by what it changes; elsewhere new ones are tried.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Let tests see neither a GPU that they were not written for, nor the terminal, nor how they were started."""
    if "gpu" not in config.getoption("markexpr"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.pop("COLUMNS", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # threads of several processes that wait for each other cost half the time


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which tests this machine cannot run, where all were asked for."""
    reason = what_is_missing() if config.args == config.getini("testpaths") else None
    if reason:
        terminalreporter.write_line(f"tests on a real Slurm are left out: {reason}", yellow=True)


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the commands that they start, keep decoded images in a folder of their own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture
def tiny_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, holding pets/ (CSV files and class folders of images) and cells/ (images with masks)."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    rows = ["image,label,wet,dark,age,weight"]
    for number in range(12):
        label = ("cat", "dog")[number % 2]
        picture = Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        (tmp_path / "pets" / label).mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / "pets" / label / f"{number}.png")
        rows.append(f"{label}/{number}.png,{number % 2},{number // 2 % 2},{number // 3 % 2},{number},{number / 8}")
    (tmp_path / "pets" / "label.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "pets" / "table.csv").write_text(
        "age,weight,kind\n" + "".join(f"{n},{n / 2},{n % 2}\n" for n in range(40))
    )
    for kind in ("image", "label"):
        (tmp_path / "cells" / kind).mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(0, 256, (32, 32), dtype=np.uint8)
            mask = np.where(pixels > 128, 255, 0).astype(np.uint8)
            Image.fromarray(mask if kind == "label" else pixels).save(tmp_path / "cells" / kind / f"{number}.png")
    return tmp_path


@pytest.fixture
def new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunDirectory]:
    """Makes a run directory in the current folder from what would be typed: ``new_run("model=lenet", "epochs=2")``."""
    monkeypatch.chdir(tmp_path)

    def make(*typed: str) -> RunDirectory:
        from runner.config.compose import Composer
        from runner.config.paths import Places
        from runner.launch.single import freeze

        return freeze(Composer(Places.find(None, tmp_path)).compose(typed))

    return make


@pytest.fixture(autouse=True)
def no_hydra_left_over() -> None:
    """Hydra keeps one instance a process: a test starts without that of the one before it."""
    if "hydra.core.global_hydra" in sys.modules:
        sys.modules["hydra.core.global_hydra"].GlobalHydra.instance().clear()
