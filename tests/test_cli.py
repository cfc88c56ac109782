"""What the program says of itself before any command runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner import __version__
from runner.cli import COMMANDS, main


def run_in_new_process(*args: str, report: str) -> str:
    """What a fresh interpreter prints for ``report`` after it ran a command line."""
    code = f"import sys, runner.cli\nrunner.cli.main({list(args)!r})\nprint({report})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_with_what_it_does(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, text in COMMANDS.items():
        assert [line for line in lines if line.split() == [name, *text.split()]], name


def test_nothing_typed_shows_the_help_and_counts_as_a_wrong_request(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    assert main([]) == 2
    assert capsys.readouterr().out == text


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"runner {__version__}\n"


def test_unknown_command_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian", "model=unet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "runner trian: there is no such command",
        f"  expected: {', '.join(COMMANDS)}",
        "  nearest:  train",
    ]


def test_unknown_command_that_resembles_none_gets_no_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    assert "nearest" not in capsys.readouterr().err


def test_help_imports_none_of_the_heavy_libraries() -> None:
    heavy = ["torch", "hydra", "omegaconf", "numpy", "yaml", "pydantic", "rich"]
    assert run_in_new_process("--help", report=f"[m for m in {heavy} if m in sys.modules]").endswith("[]\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_without_torch(command: str) -> None:
    code = f"""if True:
        import atexit, sys, runner.cli
        atexit.register(lambda: print('torch' in sys.modules))  # argparse exits after its help
        sys.exit(runner.cli.main([{command!r}, '--help']))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith((f"usage: runner {command}", f"runner {command}"))
    assert done.stdout.endswith("False\n")


def test_info_prints_what_hydra_knows_of_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=unet", "--info", "defaults"]) == 0
    assert "model/unet" in capsys.readouterr().out
