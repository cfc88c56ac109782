"""Going on when something has changed meanwhile: it is told and named. And repeating a run, to compare."""

import signal
import subprocess
from pathlib import Path

import pytest
from faults import TINY, after_step, command, done, send, train

MODEL = """from torch import nn


class Net(nn.Sequential):
    def __init__(self, channels, image_size, outputs):
        width = channels * image_size[0] * image_size[1]
        super().__init__(nn.Flatten(), nn.Linear(width, outputs))
"""
OPTION = "_target_: own_net.Net\nchannels: ${data.channels}\nimage_size: ${data.image_size}\noutputs: ${task.outputs}\n"


@pytest.fixture
def project(home: Path) -> Path:
    """A user's project: a model, and data in a CSV file with images."""
    import numpy as np
    from PIL import Image

    (home / "conf" / "model").mkdir(parents=True)
    (home / "conf" / "model" / "own.yaml").write_text(OPTION)
    (home / "own_net.py").write_text(MODEL)
    generator = np.random.default_rng(0)
    lines = ["image,label"]
    for number in range(40):
        Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8)).save(home / f"{number}.png")
        lines.append(f"{number}.png,{number % 2}")
    (home / "labels.csv").write_text("\n".join(lines) + "\n")
    return home


def train_own_and_stop(*overrides: str) -> int:
    after_step(2, send(signal.SIGTERM))
    data = ("data=csv_images", "data.source.csv=labels.csv", "data.image_size=[8,8]", "data.channels=1")
    rest = ("data.num_classes=2", "data.batch_size=10", "data.split.stratify=false")
    return command("train", *[text for text in TINY if "batch_size" not in text], "model=own", *data, *rest)


def resumed(project: Path) -> list[str]:
    """The warnings of going on."""
    code, text = done(project, command, "resume", "run")
    assert code == 0, text
    return [line for line in text.splitlines() if line.startswith("warning: ")]


@pytest.fixture
def stopped(project: Path) -> Path:
    """The project, with a run of it that was stopped."""
    code, text = done(project, train_own_and_stop)
    assert code == 75, text
    return project


def test_going_on_with_everything_as_it_was_warns_of_nothing(stopped: Path) -> None:
    assert resumed(stopped) == []


def test_changed_data_are_told(stopped: Path) -> None:
    text = (stopped / "labels.csv").read_text()
    (stopped / "labels.csv").write_text(text.replace("3.png,1", "3.png,0"))
    assert resumed(stopped) == [
        "warning: since the run was last executed: the data has changed: its fingerprint is another"
    ]


def train_listed_and_stop() -> int:
    after_step(2, send(signal.SIGTERM))
    return train("data.subset=numbers.txt", "data.order=weighted", "data.sample_weights=weights.txt")


@pytest.mark.parametrize("changed", [[], ["numbers.txt"], ["weights.txt"]], ids=" ".join)
def test_changed_files_of_numbers_are_told_as_changed_data(home: Path, changed: list[str]) -> None:
    (home / "numbers.txt").write_text("\n".join(map(str, range(1200))))
    (home / "weights.txt").write_text("\n".join(str(1 + number % 5) for number in range(1797)))
    assert done(home, train_listed_and_stop)[0] == 75
    for name in changed:
        (home / name).write_text((home / name).read_text().replace("1\n2", "2\n1", 1))
    assert resumed(home) == [
        "warning: since the run was last executed: the data has changed: its fingerprint is another" for _ in changed
    ]


def test_an_evaluation_with_the_data_of_the_training_warns_of_nothing(stopped: Path) -> None:
    code, text = done(stopped, command, "eval", "run", "--checkpoint", "last")
    assert code == 0, text
    assert "warning" not in text


def test_an_evaluation_with_other_data_warns_that_the_split_may_be_another_one(stopped: Path) -> None:
    lines = (stopped / "labels.csv").read_text().splitlines()
    (stopped / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    code, text = done(stopped, command, "eval", "run", "--checkpoint", "last")
    assert code == 0, text
    assert (
        "warning: since the run was last executed: the data has changed: its fingerprint is another\n"
        "  the split may be another one, too, and samples of test may have been trained on\n"
    ) in text


def test_changed_code_is_named_without_git(stopped: Path) -> None:
    (stopped / "own_net.py").write_text(MODEL + "# another line\n")
    assert resumed(stopped) == ["warning: since the run was last executed: the code has changed: own_net.py"]


def test_changed_code_is_named_with_git(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        settings = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(project), *settings, *arguments], check=True, capture_output=True)

    git("init")
    git("add", "own_net.py", "conf")
    git("commit", "--message", "one")
    assert done(project, train_own_and_stop)[0] == 75
    (project / "own_net.py").write_text(MODEL + "# another line\n")
    uncommitted, changed = resumed(project)
    assert uncommitted.endswith("since the run was last executed: the code has other uncommitted changes: own_net.py")
    assert changed.endswith("since the run was last executed: the code has changed: own_net.py")


# --- reproduce --------------------------------------------------------------------------------------------------------


def test_a_run_that_is_repeated_is_identical(home: Path) -> None:
    assert done(home, train)[0] == 0
    code, text = done(home, command, "reproduce", "run")
    assert code == 0
    assert text.endswith("\nidentical: run-again equals run to the last bit, in every metric and every weight\n")


def test_a_record_that_was_altered_is_found(home: Path) -> None:
    assert done(home, train)[0] == 0
    metrics = home / "run" / "metrics.csv"
    header, first, *others = metrics.read_text().splitlines()
    column = header.split(",").index("val/loss")
    cells = first.split(",")
    true, cells[column] = cells[column], "0.125"
    metrics.write_text("\n".join([header, ",".join(cells), *others]) + "\n")
    code, text = done(home, command, "reproduce", "run")
    assert code == 1
    assert f"not identical: epoch 1, val/loss: 0.125 before, {true} now\n" in text
    assert "differs:  nothing that is recorded" in text


def train_and_stop() -> int:
    after_step(5, send(signal.SIGTERM))
    return train()


def test_a_run_that_has_not_come_to_its_end_is_not_repeated(home: Path) -> None:
    assert done(home, train_and_stop)[0] == 75
    code, text = done(home, command, "reproduce", "run")
    assert (code, [path.name for path in home.iterdir()]) == (2, ["run"])
    assert text == "run is interrupted: only a complete run can be reproduced\n  fix:      runner resume run\n"


# --- a user's code ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", ["raise SystemExit(0)", "raise KeyError('x')"])
def test_code_that_leaves_the_process_fails_the_run(project: Path, leaving: str) -> None:
    (project / "own_net.py").write_text(MODEL + f"        {leaving}\n")
    code, text = done(project, train_own_and_stop)
    assert code == 1
    assert "own_net.py" in text
    assert '"state": "failed"' in (project / "run" / "status.json").read_text()
