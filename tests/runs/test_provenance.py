"""How a run came about, and what is different when it goes on."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from runner.report.code import code_difference
from runner.runs.provenance import (
    collect,
    differences,
    git_state,
    imported_code,
    note_execution,
    packages,
    surroundings,
)

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in a repository of its own, with one commit of ``net.py``; whatever the settings of this machine are."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n[init]\ndefaultBranch = main\n")
    (tmp_path / "repo").mkdir()

    def run(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path / "repo"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    run("init", "--quiet")
    (tmp_path / "repo" / "net.py").write_text("width = 8\n")
    run("add", ".")
    run("commit", "--quiet", "--message", "one")
    return run


@pytest.fixture
def repo(tmp_path: Path, git: Git) -> Path:
    return tmp_path / "repo"


def test_a_clean_checkout_is_its_commit(repo: Path, git: Git) -> None:
    assert git_state(repo) == {
        "commit": git("rev-parse", "HEAD").strip(),
        "branch": "main",
        "dirty": False,
        "patch": "",
        "untracked": [],
    }


def test_a_changed_checkout_is_its_commit_and_a_patch_that_git_applies(repo: Path, git: Git) -> None:
    (repo / "net.py").write_text("width = 16\n")
    (repo / "new.py").write_text("")
    state = git_state(repo)
    assert state is not None
    assert (state["dirty"], state["untracked"]) == (True, ["new.py"])
    git("checkout", "--quiet", "net.py")
    (repo / "patch").write_text(state["patch"])
    git("apply", "patch")
    assert (repo / "net.py").read_text() == "width = 16\n"


@pytest.mark.parametrize(
    "setting", ["diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always", "diff.external=false"]
)
def test_the_patch_does_not_depend_on_the_settings_of_git(repo: Path, git: Git, setting: str) -> None:
    (repo / "net.py").write_text("width = 16\n")
    plain = git_state(repo)
    git("config", *setting.split("="))
    assert git_state(repo) == plain
    assert plain is not None
    assert plain["patch"].startswith("diff --git a/net.py b/net.py\n")


def test_the_patch_is_of_what_is_in_the_files_and_of_all_of_them(repo: Path, git: Git) -> None:
    """As of a notebook whose output is left out of what git shows, or in a subfolder with diff.relative."""
    (repo / ".gitattributes").write_text("*.py diff=shown\n")
    git("config", "diff.shown.textconv", "cat /dev/null; echo")
    git("config", "diff.relative", "true")
    (repo / "project").mkdir()
    (repo / "net.py").write_bytes(b"width = 16  # \xe9paisseur\n")  # Latin-1
    state = git_state(repo / "project")
    assert state is not None
    git("checkout", "--quiet", "net.py")
    (repo / "patch").write_bytes(state["patch"].encode(errors="surrogateescape"))
    git("apply", "patch")
    assert (repo / "net.py").read_bytes() == b"width = 16  # \xe9paisseur\n"


def test_changes_that_git_cannot_tell_are_not_taken_for_none(repo: Path, facts: dict[str, Any]) -> None:
    (repo / ".git" / "index").write_bytes(b"torn")
    state = git_state(repo)
    assert state is not None
    assert (state["dirty"], state["patch"]) == (True, None)
    told = ["whether the code has other uncommitted changes is not known: git did not say"]
    assert differences(facts, facts | {"git": state}) == differences(facts | {"git": state}, facts) == told
    assert code_difference({"git": state}, facts, repo) == "not known: git recorded nothing of one of them"


def test_outside_of_a_checkout_there_is_no_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


def test_without_git_there_is_none_either(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(repo) is None


def test_a_run_is_recorded_with_its_command_and_its_folder(repo: Path) -> None:
    record = collect(["runner", "train", "epochs=3"], repo)
    assert record["command"] == ["runner", "train", "epochs=3"]
    assert record["directory"] == str(repo)
    assert record["git"] == git_state(repo)
    assert record["executions"] == []


def test_packages_are_known_with_their_versions() -> None:
    assert packages()["torch"] == metadata.version("torch")
    assert list(packages()) == sorted(packages(), key=str.lower)


# --- differences ------------------------------------------------------------------------------------------------------


@pytest.fixture
def facts(repo: Path) -> dict[str, Any]:
    """The record of an execution."""
    return {
        **surroundings(repo),
        "device": "cpu",
        "gpu": None,
        "cuda": None,
        "threads": 2,
        "data": "fingerprint 1",
        "packages": {"torch": "2.11.0", "numpy": "2.0"},
    }


def test_the_same_surroundings_do_not_differ(facts: dict[str, Any]) -> None:
    assert differences(facts, facts) == []
    assert differences(facts, json.loads(json.dumps(facts))) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data": "fingerprint 2"}, "the data has changed: its fingerprint is another"),
        ({"threads": 4}, "threads: 2, now 4"),
        ({"device": "cuda", "gpu": "H200"}, "device: cpu, now cuda\ngpu: None, now H200"),
        ({"python": "3.99"}, f"python: {sys.version.split()[0]}, now 3.99"),
        ({"cpu": "abacus"}, "now abacus"),
        ({"packages": {"torch": "2.12.0", "numpy": "2.0"}}, "package torch: 2.11.0, now 2.12.0"),
        ({"packages": {"torch": "2.11.0"}}, "package numpy: 2.0, now absent"),
        ({"packages": {"a": "1", "torch": "2.11.0", "numpy": "2.0"}}, "package a: absent, now 1"),
        ({"git": None}, "the code is no longer in the same git checkout"),
    ],
)
def test_what_differs_is_told_in_words(facts: dict[str, Any], change: dict[str, Any], told: str) -> None:
    assert told in "\n".join(differences(facts, facts | change))
    assert len(differences(facts, facts | change)) == len(told.splitlines())


def test_the_host_and_the_number_of_its_processors_do_not_matter(facts: dict[str, Any]) -> None:
    assert differences(facts, facts | {"host": "another", "cpu_count": 999}) == []


def test_another_commit_is_told(repo: Path, git: Git, facts: dict[str, Any]) -> None:
    one = git("rev-parse", "HEAD")[:10]
    git("commit", "--quiet", "--allow-empty", "--message", "two")
    two = git("rev-parse", "HEAD")[:10]
    assert differences(facts, facts | {"git": git_state(repo)}) == [f"the code is of another commit: {one}, now {two}"]


def test_files_that_have_changed_since_are_named(repo: Path, git: Git, facts: dict[str, Any]) -> None:
    (repo / "loss.py").write_text("")
    git("add", "loss.py")
    git("rm", "--quiet", "net.py")
    told = differences(facts, facts | {"git": git_state(repo)})
    assert told == ["the code has other uncommitted changes: loss.py, net.py"]


def test_code_that_git_does_not_know_is_compared_too(facts: dict[str, Any]) -> None:
    one, other = {"net.py": "1", "loss.py": "1", "old.py": "1"}, {"net.py": "2", "loss.py": "1", "new.py": "1"}
    assert differences(facts | {"code": one}, facts | {"code": other}) == ["the code has changed: net.py"]


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of the user's that has been imported."""
    (tmp_path / "recorded_net.py").write_text("width = 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("recorded_net")
    yield tmp_path / "recorded_net.py"
    del sys.modules["recorded_net"]


def test_the_users_code_is_recorded_where_it_was_imported(own_module: Path) -> None:
    (own_module.parent / "not_imported.py").write_text("")
    before = imported_code((own_module.parent,))
    assert list(before) == ["recorded_net.py"]
    own_module.write_text("width = 16\n")
    assert imported_code((own_module.parent,)) != before
    assert imported_code(()) == {}


# --- the record of a run ----------------------------------------------------------------------------------------------


@pytest.fixture
def record(repo: Path, tmp_path: Path) -> Path:
    """The record of a run that was made and not executed yet."""
    (tmp_path / "provenance.json").write_text(json.dumps(collect(["runner"], repo)))
    return tmp_path / "provenance.json"


def test_executions_are_added_one_after_the_other(record: Path, facts: dict[str, Any]) -> None:
    assert note_execution(record, facts) == []
    assert note_execution(record, facts) == []
    assert note_execution(record, facts | {"threads": 4}) == ["threads: 2, now 4"]
    assert note_execution(record, facts | {"threads": 4}) == [], "it is compared with the one before"
    executions = json.loads(record.read_text())["executions"]
    assert [execution["threads"] for execution in executions] == [2, 2, 4, 4]
    assert all(execution["started"] for execution in executions)


def test_the_first_execution_is_compared_with_when_the_run_was_made(
    record: Path, repo: Path, facts: dict[str, Any]
) -> None:
    (repo / "net.py").write_text("width = 16\n")
    told = note_execution(record, facts | {"git": git_state(repo)})
    assert told == ["the code has other uncommitted changes: net.py"]
