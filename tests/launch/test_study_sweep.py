"""What a study begins with."""

from pathlib import Path

from runner.config.paths import Places
from runner.launch.study_sweep import keep_conf
from runner.runs.sweep_directory import SweepDirectory


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_only_configuration_is_kept_of_a_folder_that_holds_data_and_results_too(tmp_path: Path) -> None:
    write(tmp_path / "model" / "mine.yaml", "width: 8\n")
    (tmp_path / "model" / ".#mine.yaml").symlink_to("an-editor-holds-it")
    write(tmp_path / "weights" / "big.pt", "not configuration")
    write(tmp_path / ".venv" / "package" / "settings.yaml", "a: 1\n")
    write(tmp_path / "outputs" / "earlier" / "config.yaml", "seed: 0\n")
    made = SweepDirectory(tmp_path / "outputs" / "sweep")
    keep_conf(made, Places((tmp_path,), ()), outputs=tmp_path / "outputs")
    kept = made.path / "conf" / "0"
    assert [str(file.relative_to(kept)) for file in kept.rglob("*")] == ["model", "model/mine.yaml"]
    assert (kept / "model" / "mine.yaml").read_text() == "width: 8\n"
