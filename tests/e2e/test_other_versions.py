"""A run directory that another version made: told in one message, and left as it is."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from terminal import Trained

from runner.cli import main
from runner.runs.checkpoints import read_checkpoint, write_checkpoint

Train = Callable[..., Trained]


@pytest.fixture
def old(train: Train) -> Path:
    """A run whose configuration lacks a key, and has one that nothing reads; version 0.0.9 made it."""
    run = train("epochs=1", "tracking.tensorboard=false", "training.test=false").path
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["training"]["lr_every"]
    config["training"]["momentum"] = 0.9
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    provenance = (run / "provenance.json").read_text()
    (run / "provenance.json").write_text(
        provenance.replace('"experiment-runner": "0.1.0"', '"experiment-runner": "0.0.9"')
    )
    return run


def contents(folder: Path) -> dict[Path, str]:
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ["resume", "RUN", "epochs=2"],
        ["eval", "RUN"],
        ["predict", "RUN", "some.png", "-o", "some.csv"],
        ["export", "RUN", "--format", "weights"],
        ["reproduce", "RUN"],
    ],
    ids=lambda words: words[0],
)
def test_a_configuration_of_another_version_is_refused_with_its_keys_and_that_version(
    words: list[str], old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(old.parent)
    assert main([old.name if word == "RUN" else word for word in words]) == 2
    told = capsys.readouterr().err
    assert "training.lr_every is not set; training.momentum is not a setting\n" in told
    assert "made by version 0.0.9\n" in told
    assert contents(old.parent) == before


def test_a_run_that_is_to_go_on_is_refused_likewise(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = old / "status.json"
    status.write_text(status.read_text().replace('"completed"', '"interrupted"'))
    before = contents(old.parent)
    assert main(["resume", old.name]) == 2
    assert "made by version 0.0.9\n" in capsys.readouterr().err
    assert contents(old.parent) == before


def test_checkpoints_of_another_layout_are_told_and_their_weights_can_be_used(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("tracking.tensorboard=false", "training.test=false")
    run = train("epochs=1", *small).path
    for file in (run / "checkpoints").glob("*.pt"):
        write_checkpoint(file, read_checkpoint(file) | {"format": 0})
    assert main(["resume", run.name, "epochs=2"]) == 1
    assert "have layout 0, and this version goes on from" in capsys.readouterr().err
    train("epochs=1", *small, f"model.weights={run.name}/checkpoints/best.pt")
