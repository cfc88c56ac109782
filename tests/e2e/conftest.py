"""Things that the tests of whole commands start from."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from terminal import CommandLine, Trained

from runner.cli import main


@pytest.fixture
def runner(tmp_path: Path) -> CommandLine:
    """Types ``runner ...`` in the folder of the test: ``runner("train", "epochs=2").returncode``."""
    return CommandLine(tmp_path)


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Trained]]:
    """``runner train`` typed in the folder of the test, without a process of its own: ``train("epochs=2")``."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def type_in(*overrides: str) -> Trained:
        path = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        assert main(["train", f"run_dir={path.name}", *overrides]) == 0
        return Trained(path)

    yield type_in
    torch.set_num_threads(threads)  # an experiment may set it, and it holds for the process


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the checkout; without it the test is skipped."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder of real data beside the checkout")
    return folder
