"""The copy of the code that is made when a job is submitted, and whose code it counts as."""

import subprocess
from pathlib import Path

import pytest
from pretended import FakeSlurm

from runner.cli import main
from runner.errors import UserError
from runner.launch.slurm import snapshot
from runner.launch.slurm.snapshot import copy_code, planned_copies
from runner.trust import Trust


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def copied(folder: Path, into: Path) -> list[str]:
    copy_code(planned_copies([folder], into))
    found = (path.relative_to(into) for path in into.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(map(str, found))


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], cwd=folder, check=True, capture_output=True
    )


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder of code with what lies around in one."""
    folder = tmp_path / "project"
    write(folder, "net.py", "lib/deep/a.py", "data/big.bin", ".secret", "__pycache__/net.pyc", "notes.log")
    write(folder, "venv/pyvenv.cfg", "venv/lib/x.py", "outputs/run/config.yaml", "outputs/run/status.json")
    write(folder, "outputs/sweep/sweep.yaml", "outputs/sweep/runs/0000/net.py", "outputs/plot.py")
    (folder / ".gitignore").write_text("data/\n*.log\n")
    return folder


def test_in_a_checkout_it_has_what_is_tracked_or_could_be(code: Path, tmp_path: Path) -> None:
    git(code, "init", "-q")
    write(code, ".tracked", "gone.py", "forced.log")
    git(code, "add", "-f", "net.py", ".tracked", "gone.py", "forced.log", ".gitignore")
    git(code, "commit", "-qm", "x")
    (code / "gone.py").unlink()
    (code / "net.py").write_text("changed since")
    expected = [".gitignore", ".tracked", "forced.log", "lib/deep/a.py", "net.py", "outputs/plot.py"]
    assert copied(code, tmp_path / "copy") == expected
    assert (tmp_path / "copy/net.py").read_text() == "changed since"


def test_elsewhere_a_gitignore_counts_all_the_same(code: Path, tmp_path: Path) -> None:
    assert copied(code, tmp_path / "copy") == ["lib/deep/a.py", "net.py", "outputs/plot.py"]


def test_a_part_of_a_checkout_is_copied_without_the_rest(code: Path, tmp_path: Path) -> None:
    git(code, "init", "-q")
    assert copied(code / "lib", tmp_path / "copy") == ["deep/a.py"]


def test_a_checkout_in_a_checkout_is_copied_with_it(code: Path, tmp_path: Path) -> None:
    git(code, "init", "-q")
    write(code, "sub/inner.py", "sub/no.log")
    (code / "sub/.gitignore").write_text("*.log\n")
    git(code / "sub", "init", "-q")
    git(code / "sub", "add", "inner.py")
    git(code / "sub", "commit", "-qm", "x")
    git(code, "add", "sub")
    assert "sub/inner.py" in copied(code, tmp_path / "copy")


def test_links_lead_where_they_led(code: Path, tmp_path: Path) -> None:
    write(tmp_path, "scratch/images/1.png")
    (code / "images").symlink_to("../scratch/images")
    (code / "alias.py").symlink_to(code / "lib/deep/a.py")
    copied(code, tmp_path / "copy")
    copy = tmp_path / "copy"
    assert (copy / "images/1.png").read_text() == "scratch/images/1.png"
    (code / "lib/deep/a.py").write_text("changed")
    assert (copy / "alias.py").read_text() == "lib/deep/a.py"  # of the copy, not of what goes on


def test_what_is_too_much_for_code_is_refused_with_the_largest(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_MOST_MB", 0.001)
    (code / "model.bin").write_bytes(bytes(2_000_000))
    with pytest.raises(UserError, match=r"(?s)would copy 2 MB.*where: +model\.bin.*\.gitignore"):
        copy_code(planned_copies([code], tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_folders_apart_get_copies_apart(code: Path, tmp_path: Path) -> None:
    other = tmp_path / "shared"
    copies = planned_copies([code, code / "lib", other], tmp_path / "run/code")
    assert copies == {code: tmp_path / "run/code", other: tmp_path / "run/code-2"}


def test_a_job_is_told_where_the_copy_is_and_what_it_may_import(project: Path, fake_slurm: FakeSlurm) -> None:
    (project / "apart.py").write_text("from torch import nn\nclass Net(nn.Linear): pass\n")
    (project / "conf/model").mkdir(parents=True)
    (project / "conf/model/apart.yaml").write_text("_target_: apart.Net\nin_features: 64\nout_features: 10\n")
    assert main(["submit", "model=apart", "run_dir=outputs/one", "launcher.snapshot_code=true"]) == 0
    text = (project / "outputs/one/job.sbatch").read_text()
    assert f"--code={project}/outputs/one/code " in text
    assert f"--code={project}/outputs/one/code/conf/model" in text  # a module may lie beside its YAML file
    assert (project / "outputs/one/code/apart.py").is_file()
    assert f"#SBATCH --chdir={project}\n" in text  # where relative paths of the data start


def test_in_a_checkout_of_this_program_a_job_runs_the_copy_of_the_program(
    project: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, "runner/cli.py")
    typed = ["submit", "run_dir=outputs/one", "launcher.snapshot_code=true"]
    assert main([*typed, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"\nexport PYTHONPATH={project}/outputs/one/code${{PYTHONPATH:+:$PYTHONPATH}}\n" in shown
    assert not (project / "outputs").exists()
    assert main(typed) == 0
    assert (project / "outputs/one/job.sbatch").read_text() == shown


def test_a_later_submission_can_have_a_copy_of_its_own(project: Path, fake_slurm: FakeSlurm) -> None:
    write(project, "net.py")
    main(["submit", "run_dir=outputs/one", "launcher.snapshot_code=true"])
    (project / "net.py").write_text("later")
    assert main(["submit", "outputs/one", "launcher=slurm", "launcher.snapshot_code=true"]) == 0
    assert f"--code={project}/outputs/one/code-2" in (project / "outputs/one/job.sbatch").read_text()
    copies = [project / "outputs/one" / name / "net.py" for name in ("code", "code-2")]
    assert [copy.read_text() for copy in copies] == ["net.py", "later"]
    # The one that was run last is what counts when the directory is trusted.
    assert main(["submit", "outputs/one", "--trust", "outputs/one"]) == 0
    assert f"--code={project}/outputs/one/code-2" in (project / "outputs/one/job.sbatch").read_text()


# --- whose code it is -------------------------------------------------------------------------------------------------


@pytest.fixture
def run(project: Path) -> Path:
    """A run directory with code in it."""
    run = project / "run"
    write(run, "config.yaml", "status.json", "code/inner/config.yaml", "code/inner/status.json")
    (run / "code/evil.py").write_text("")
    (run / "code/inner/worse.py").write_text("")
    return run


def test_code_in_a_run_directory_is_run_only_if_it_is_named(run: Path, project: Path) -> None:
    config = {"model": {"_target_": "evil.Net"}}
    copy = run / "code"
    for trust in (Trust((project,)), Trust((copy,)), Trust((run,))):
        with pytest.raises(UserError, match="is not run"):
            trust.check(config, run)
    Trust((copy,), code=(copy,)).check(config, run)


def test_naming_it_does_not_extend_to_a_run_inside(run: Path, project: Path) -> None:
    inside = run / "code/inner"
    with pytest.raises(UserError, match="is not run"):
        Trust((inside,), code=(run / "code",)).check({"model": {"_target_": "worse.Net"}}, run)
