"""Looking at runs needs no torch, and reads no more than is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import make_run

PROGRAM = """
import sys
import runner.cli
assert runner.cli.main(sys.argv[1:]) == 0
heavy = ("torch", "numpy", "pandas", "plotly", "optuna", "hydra", "omegaconf", "rich", "jinja2")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("typed", "heavy"),
    [
        (["ls", "."], []),
        (["ls", ".", "--where", "optimizer.lr < 1 and model == mlp", "--sort", "val/loss"], []),
        (["compare", "a", "b"], []),
        (["report", "a", "b", "--no-examples"], ["numpy", "pandas", "plotly", "optuna", "rich", "jinja2"]),
    ],
)
def test_no_torch_and_nothing_heavy_that_is_not_needed(tmp_path: Path, typed: list[str], heavy: list[str]) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / name, {"name": name}, best=0.5, metrics={"val/loss": 0.5})
    command = [sys.executable, "-P", "-c", PROGRAM, *typed]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(heavy)


def test_listing_opens_nothing_but_statuses(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / name, best=0.5)
        (tmp_path / name / "config.yaml").unlink()  # so that nothing could be read from it
        (tmp_path / name / "overrides.yaml").unlink()
    program = (
        "import builtins, io, sys\nimport runner.cli\nimport runner.report.ls, runner.report.where\n"
        "opened = []\nreal = io.open\n"
        "def spy(file, *args, **kwargs):\n    opened.append(str(file))\n    return real(file, *args, **kwargs)\n"
        "io.open = spy\nrunner.cli.main(['ls', '.'])\nprint(sorted(opened))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "['a/status.json', 'b/status.json', 'status.json']"
