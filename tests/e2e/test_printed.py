"""What commands print, typed in the folder of the test without a process of their own."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Trained

from runner import cli
from runner.cli import main

TINY = ["data.batch_size=600", "epochs=1", "model.hidden=[4]", "tracking.graph=false", "training.test=false"]


@pytest.mark.parametrize("tensorboard", [True, False])
def test_the_curves_are_named_where_there_are_some(
    tensorboard: bool, train: Callable[..., Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    train(*TINY, f"tracking.tensorboard={tensorboard}".lower())
    labels = [line.split()[0] for line in capsys.readouterr().out.splitlines()[-3:] if line]
    assert labels == (["run", "curves", "again"] if tensorboard else ["run", "again"])


def test_more_epochs_are_not_offered_to_a_run_that_ended_before_its_last_one(
    train: Callable[..., Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    early = train(*TINY, "epochs=9", "max_steps=4")
    late = train(*TINY)
    capsys.readouterr()
    assert main(["resume", str(early.path)]) == main(["resume", str(late.path)]) == 0
    of_early, *of_late = capsys.readouterr().out.splitlines()
    assert of_early.endswith("it ended in epoch 2 of 9, by early stopping or max_steps, and nothing is left to train")
    assert of_late[1].endswith("epochs=N for more")


def test_sweeps_and_repetitions_are_named_as_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "seed=0,1", *TINY, "tracking.tensorboard=false"]) == 0
    (sweep,) = Path("outputs").glob("*/*")
    out = capsys.readouterr().out
    assert out.startswith(f"sweep    {sweep}: 2 runs, ")
    assert f"\nreport   runner report {sweep}\n" in out
    assert main(["reproduce", str(sweep / "runs" / "0000-seed-0")]) == 0
    out += capsys.readouterr().out
    assert f"identical: {sweep}-0000-again equals {sweep}/runs/0000-seed-0 to" in out
    assert str(tmp_path) not in out


def test_ls_refuses_a_folder_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ls", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("runner ls nowhere: there is no such folder\n")
    Path("file").touch()
    assert main(["ls", "file"]) == 2
    assert main(["ls"]) == 0, "outputs/ is made by the first run"
    assert "there are no runs below outputs" in capsys.readouterr().out


def test_what_cannot_be_read_in_a_sweep_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "seed=0,1", "epochs", "5"]) == 2
    assert capsys.readouterr().err == "epochs 5 cannot be read\n  expected: key=value\n  fix:      epochs=5\n"


def test_the_choices_of_a_run_name_its_regularization(train: Callable[..., Trained]) -> None:
    import yaml

    run = train(*TINY, "regularization=[clip,ema]", "tracking.tensorboard=false").path
    assert yaml.safe_load((run / "overrides.yaml").read_text())["choices"]["regularization"] == ["clip", "ema"]
    assert json.loads((run / "status.json").read_text())["state"] == "completed"


def test_why_a_run_failed_goes_to_the_standard_error_and_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "run_dir=run", "optimizer=sgd", "optimizer.lr=1e30", *TINY]) == 1
    out, err = capsys.readouterr()
    first = err.splitlines()[0]
    assert first.startswith(("the loss of step", "a weight is no longer finite"))
    assert first not in out
    assert first in Path("run/train.log").read_text()


def test_commands_are_printed_with_the_quotes_that_a_shell_needs(
    train: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train("run_dir='it is, é'", *TINY)
    assert "curves  tensorboard --logdir 'it is, é/tensorboard'\n" in capsys.readouterr().out
    assert main(["resume", "it is, é"]) == 0
    assert "  fix:      runner resume 'it is, é' epochs=N for more\n" in capsys.readouterr().out
    assert main(["train", "run_dir='it is, é'", *TINY]) == 2
    assert "  fix:      runner resume 'it is, é', or another run_dir\n" in capsys.readouterr().err


def test_no_folder_is_printed_in_a_command_without_those_quotes() -> None:
    bare = re.compile(r"(runner [a-z]+|tensorboard --logdir) \{[\w.]*(path|parent|run|wanted|directory|tensorboard)\}")
    sources = {file.name: file.read_text() for file in Path(cli.__file__).parent.rglob("*.py")}
    assert bare.search('f"runner resume {run.path}"')
    assert len(sources) > 100
    assert [name for name, text in sources.items() if bare.search(text)] == []


NAN_NET = """import torch
class Net(torch.nn.Linear):
    def forward(self, images):
        outputs = super().forward(images.flatten(1))
        return outputs if self.training else outputs * torch.nan
"""


@pytest.mark.parametrize(
    "typed", [["monitor=val/loss", "model=own"], ["data.split.test=0"]], ids=["no best", "no test"]
)
def test_the_command_that_is_printed_at_the_end_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text("_target_: nan_net.Net\nin_features: 64\nout_features: 10\n")
    (tmp_path / "nan_net.py").write_text(NAN_NET)
    tiny = [text for text in TINY if "model" not in text or len(typed) == 1]
    assert main(["train", "run_dir=my run", *tiny, *typed]) == 0
    again = capsys.readouterr().out.splitlines()[-1]
    label, runner, *words = shlex.split(again)
    assert (label, runner, words[:2]) == ("again", "runner", ["eval", "my run"])
    assert main(words) == 0
    assert main([*words, "--json"]) == 0
