"""What the program says of itself before any command runs."""

import json
import os
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


def typed_in_a_shell(folder: Path, line: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What comes of ``runner ...`` with the redirections of a shell."""
    command = line.replace("runner", f"{sys.executable} -P -m runner", 1)
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False, env=variables)


TINY = "data.batch_size=600 epochs=1 model.hidden=[4] tracking.tensorboard=false device=cpu"


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_run_whose_output_is_closed_trains_all_the_same(tmp_path: Path, closed: str) -> None:
    done = typed_in_a_shell(tmp_path, f"runner train {TINY} run_dir=run {closed}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "completed"
    assert (tmp_path / "run" / "train.log").read_text().endswith("runner eval run\n")


def test_a_list_whose_output_is_closed_goes_nowhere(tmp_path: Path) -> None:
    done = typed_in_a_shell(tmp_path, "runner ls . >&-")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("typed", ["ls .", "--help"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_cannot_be_written_is_told_in_a_line(tmp_path: Path, typed: str, unbuffered: str) -> None:
    done = typed_in_a_shell(tmp_path, f"runner {typed} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr == ("runner: the standard output cannot be written: [Errno 28] No space left on device\n")


def test_an_error_that_is_not_of_the_output_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: list[str]) -> int:
        raise OSError("of something else")

    monkeypatch.setattr("runner.commands.ls.main", broken)
    with pytest.raises(OSError, match="of something else"):
        main(["ls"])


def test_letters_that_the_terminal_has_not_are_escaped(tmp_path: Path) -> None:
    done = typed_in_a_shell(tmp_path, f"runner train {TINY} 'run_dir=\"é ü\"'", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("run      \\xe9 \\xfc\n")


def test_info_prints_what_hydra_knows_of_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=unet", "--info", "defaults"]) == 0
    assert "model/unet" in capsys.readouterr().out


def test_a_flag_that_summary_does_not_have_is_refused_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["summary", "--json"]) == 2
    assert capsys.readouterr().err.startswith("runner summary: there is no flag --json\n")


def test_resume_without_a_directory_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["resume"])
    assert capsys.readouterr().err.endswith("the following arguments are required: DIR\n")


@pytest.mark.parametrize(("part", "printed"), [("run_dir", "null\n"), ("data.split.seed", "0\n")])
def test_a_part_of_the_configuration_is_printed_even_if_it_is_null(
    part: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--cfg", "job", "--package", part]) == 0
    assert capsys.readouterr().out == printed


def test_a_part_that_the_configuration_does_not_have_is_told_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--cfg", "job", "--package", "data.splt"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("--package data.splt: there is no splt\n  expected: folds, fold, subset, ")
    assert err.endswith("  nearest:  split\n")


@pytest.mark.parametrize("words", [["train"], ["train", "--help"], ["summary"], ["submit", "--help"]])
def test_a_current_folder_that_was_removed_is_told_so(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(words) == 2
    assert capsys.readouterr().err == "the current folder has been removed\n  fix:      cd to one that is there\n"
