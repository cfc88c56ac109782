"""Setting up a clone with make, told with stand-ins for Python and uv."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LOG = 'echo "${0##*/} $*" >> calls'
# A Python that is new enough, or uv: the environment that it makes holds programs that only log that they were called.
ABLE = f"""
{LOG}
case "$1 $2" in "-m venv" | venv*)
    mkdir -p .venv/bin
    for program in python runner pytest; do cp logger ".venv/bin/$program"; done
esac
"""
SIDE_BY_SIDE = "-n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder"
OLD_PYTHON = '[ "$1" = --version ] && echo Python 3.9.2'


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone on a machine that has make, the usual small tools, and no Python yet."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in ("make", "sh", "mkdir", "cp", "touch"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.skip(f"needs {tool}"))
    program(tmp_path / "logger", LOG)
    return tmp_path


def make(clone: Path, *args: str, fails: bool = False) -> tuple[list[str], str]:
    """Call make; what it called in turn (checks of the version left out), and what it told the user."""
    (clone / "calls").unlink(missing_ok=True)
    done = subprocess.run(
        ["make", *args], cwd=clone, env={"PATH": str(clone / "bin")}, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    calls = (clone / "calls").read_text().splitlines() if (clone / "calls").exists() else []
    return [call for call in calls if " -c " not in call], done.stderr


def make_newer(file: Path) -> None:
    later = file.stat().st_mtime + 60
    os.utime(file, (later, later))


def test_demo_sets_up_with_plain_pip_where_uv_is_missing(clone: Path) -> None:
    program(clone / "bin" / "python3", ABLE)
    calls, _ = make(clone, "demo")
    assert calls == [
        "python3 -m venv .venv",
        "python -m pip install --disable-pip-version-check --constraint constraints.txt --editable .",
        "runner train experiment=demo",
    ]


def test_demo_sets_up_with_uv_where_it_is_there(clone: Path) -> None:
    program(clone / "bin" / "python3", ABLE)
    program(clone / "bin" / "uv", ABLE)
    calls, _ = make(clone, "demo")
    python = clone / "bin" / "python3"
    assert calls == [
        f"uv venv --quiet --seed --allow-existing --no-python-downloads --python {python} .venv",
        "uv pip install --python .venv/bin/python --constraint constraints.txt --editable .",
        "runner train experiment=demo",
    ]


def test_test_alone_installs_the_development_tools(clone: Path) -> None:
    program(clone / "bin" / "python3", ABLE)
    calls, _ = make(clone, "test")
    assert [call.split()[-1] for call in calls[:2]] == [".venv", ".[dev]"]
    assert calls[2:] == [f"pytest {SIDE_BY_SIDE}"]


def test_set_up_is_not_repeated(clone: Path) -> None:
    program(clone / "bin" / "python3", ABLE)
    make(clone, "test")
    assert make(clone, "test")[0] == [f"pytest {SIDE_BY_SIDE}"]
    assert make(clone, "demo")[0] == ["runner train experiment=demo"]


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed(clone: Path, changed: str) -> None:
    program(clone / "bin" / "python3", ABLE)
    make(clone, "demo")
    make_newer(clone / changed)
    calls, _ = make(clone, "demo")
    assert [call.split()[:4] for call in calls] == [
        ["python", "-m", "pip", "install"],
        ["runner", "train", "experiment=demo"],
    ]


def test_installation_that_was_interrupted_is_done_again(clone: Path) -> None:
    program(clone / "bin" / "python3", ABLE)
    program(clone / "logger", "exit 1")
    make(clone, "demo", fails=True)
    program(clone / ".venv" / "bin" / "python", LOG)
    program(clone / ".venv" / "bin" / "runner", LOG)
    calls, _ = make(clone, "demo")
    assert [call.split()[0] for call in calls] == ["python", "runner"]


def test_newer_python_is_found_beside_one_that_is_too_old(clone: Path) -> None:
    program(clone / "bin" / "python3", OLD_PYTHON)
    program(clone / "bin" / "python3.12", ABLE)
    calls, _ = make(clone, "demo")
    assert calls[0] == "python3.12 -m venv .venv"


@pytest.mark.parametrize(("python", "found"), [(OLD_PYTHON, "Python 3.9.2"), (None, "none")])
def test_no_python_that_is_new_enough_is_told_in_one_message(clone: Path, python: str | None, found: str) -> None:
    if python:
        program(clone / "bin" / "python3", python)
    calls, told = make(clone, "demo", fails=True)
    assert calls == []
    assert told.splitlines()[:2] == [
        f"runner needs Python 3.11 or newer; found: {found}",
        "  fix: install one, or name it: make PYTHON=/path/to/python3.12",
    ]


def test_python_without_ensurepip_is_told_what_to_install(clone: Path) -> None:
    program(clone / "bin" / "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    _, told = make(clone, "demo", fails=True)
    assert "apt-get install python3-venv (Debian, Ubuntu), or install uv" in told
    assert not (clone / ".venv").exists()
