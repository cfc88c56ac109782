"""The difference of the code of two runs, with what was not committed, and without touching the checkout."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.report.code import CodeDifference, code_difference
from runner.runs.provenance import git_state

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """``git ...`` in a checkout, the folder ``checkout``, which has one commit of ``net.py``."""
    folder = tmp_path / "checkout"
    folder.mkdir()

    def run(*arguments: str) -> str:
        command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    run("init", "-q")
    (folder / "sub").mkdir()
    (folder / "net.py").write_text("width = 1\nheight = 1\n")
    (folder / "sub" / "data.py").write_text("x = 1\n")
    run("add", ".")
    run("commit", "-qm", "one")
    return run


def record(folder: Path) -> dict[str, Any]:
    """``provenance.json`` of a run that is started now."""
    return {"git": git_state(folder), "executions": []}


def changed_lines(found: CodeDifference | str) -> list[str]:
    assert isinstance(found, CodeDifference)
    assert found.diff is not None
    return [line for line in found.diff.splitlines() if line[:1] in "+-" and not line.startswith(("+++", "---"))]


def test_two_commits_differ_as_git_says(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    one = record(folder)
    (folder / "net.py").write_text("width = 2\nheight = 1\n")
    git("commit", "-qam", "two")
    found = code_difference(one, record(folder), folder)
    assert changed_lines(found) == ["-width = 1", "+width = 2"]
    assert isinstance(found, CodeDifference)
    assert found.stat is not None
    assert "net.py | 2 +-" in found.stat
    assert found.describe() == f"{one['git']['commit'][:10]} against {git('rev-parse', 'HEAD')[:10]}"


def test_what_was_not_committed_counts(tmp_path: Path, git: Git) -> None:
    """Both have changed the width, and only one of them the height as well."""
    folder = tmp_path / "checkout"
    (folder / "net.py").write_text("width = 2\nheight = 1\n")
    one = record(folder)
    (folder / "net.py").write_text("width = 2\nheight = 3\n")
    (folder / "sub" / "data.py").write_text("x = 2\n")
    other = record(folder)
    git("checkout", "-q", ".")
    found = code_difference(one, other, folder / "sub")  # from any folder of the checkout
    assert changed_lines(found) == ["-height = 1", "+height = 3", "-x = 1", "+x = 2"]
    assert isinstance(found, CodeDifference)
    assert found.patched == (True, True)


def test_a_change_that_was_committed_in_between_is_none(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    (folder / "net.py").write_text("width = 2\nheight = 1\n")
    one = record(folder)
    git("commit", "-qam", "two")
    assert changed_lines(code_difference(one, record(folder), folder)) == []


def test_the_checkout_is_left_as_it_was(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    one = record(folder)
    (folder / "net.py").write_text("width = 2\nheight = 1\n")
    other = record(folder)
    git("add", ".")
    (folder / "net.py").write_text("width = 3\nheight = 1\n")
    status, objects = git("status", "--porcelain"), git("count-objects", "-v")
    assert changed_lines(code_difference(one, other, folder)) == ["-width = 1", "+width = 2"]
    assert (git("status", "--porcelain"), git("count-objects", "-v")) == (status, objects)


def test_line_ends_of_another_system_are_kept(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    (folder / "net.py").write_bytes(b"width = 1\r\nheight = 1\r\n")
    git("commit", "-qam", "two")
    one = record(folder)
    (folder / "net.py").write_bytes(b"width = 2\r\nheight = 1\r\n")
    assert [line.rstrip() for line in changed_lines(code_difference(one, record(folder), folder))] == [
        "-width = 1",
        "+width = 2",
    ]


def test_binary_files_are_named_and_hide_nothing(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    (folder / "plot.png").write_bytes(b"\0one")
    (folder / "same.png").write_bytes(b"\0one")
    git("add", ".")
    git("commit", "-qm", "two")
    (folder / "same.png").write_bytes(b"\0two")
    (folder / "net.py").write_text("width = 2\nheight = 1\n")
    one = record(folder)
    (folder / "plot.png").write_bytes(b"\0two")
    (folder / "net.py").write_text("width = 3\nheight = 1\n")
    found = code_difference(one, record(folder), folder)
    assert changed_lines(found) == ["-width = 2", "+width = 3"]
    assert isinstance(found, CodeDifference)
    assert found.binary == ("plot.png",)


def test_a_file_that_is_no_utf_8_is_compared_too(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    (folder / "net.py").write_bytes(b"width = 1\nheight = 1  # H\xf6he\n")
    git("commit", "-qam", "two")
    one = record(folder)
    (folder / "net.py").write_bytes(b"width = 2\nheight = 1  # H\xf6he\n")
    other = json.loads(json.dumps(record(folder)))
    assert changed_lines(code_difference(one, other, folder)) == ["-width = 1", "+width = 2"]


def test_the_last_execution_counts(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    one = record(folder)
    (folder / "net.py").write_text("width = 2\nheight = 1\n")
    resumed = {**one, "executions": [{"git": one["git"]}, {"git": git_state(folder)}]}
    assert changed_lines(code_difference(one, resumed, folder)) == ["-width = 1", "+width = 2"]


def test_equal_code_is_told(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    one = record(folder)
    commit = one["git"]["commit"][:10]
    assert code_difference(one, one, folder) == f"the same: {commit}"
    (folder / "net.py").write_text("width = 2\n")
    changed = record(folder)
    assert code_difference(changed, changed, folder) == f"the same: {commit} with the same uncommitted changes"


def test_commits_that_the_checkout_has_not_are_named(tmp_path: Path, git: Git) -> None:
    one = record(tmp_path / "checkout")
    other = {"git": {**one["git"], "commit": "0" * 40}}
    for folder in (tmp_path / "checkout", tmp_path):
        found = code_difference(one, other, folder)
        assert isinstance(found, CodeDifference)
        assert (found.stat, found.diff) == (None, None)
        assert found.describe().endswith("against 0000000000")


def test_nothing_of_a_foreign_record_reaches_git_as_a_flag(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "checkout"
    one = record(folder)
    written = tmp_path / "written"
    other = {"git": {**one["git"], "commit": f"--output={written}"}}
    found = code_difference(one, other, folder)
    assert isinstance(found, CodeDifference)
    assert found.diff is None
    assert not written.exists()


def test_where_git_recorded_nothing_that_is_told() -> None:
    nothing: dict[str, Any] = {"git": None, "executions": []}
    assert code_difference(nothing, nothing, Path()) == "not known: git recorded nothing of either"
    some = {"git": {"commit": "0" * 40, "patch": ""}}
    assert code_difference(some, nothing, Path()) == "not known: git recorded nothing of one of them"
