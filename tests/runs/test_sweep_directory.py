"""A sweep directory: its record, and the run directories in it."""

from pathlib import Path

import pytest

from runner.errors import UserError
from runner.runs.sweep_directory import SweepDirectory, SweepRecord, create, number_of

RECORD = SweepRecord(
    created="2026-11-20T13:20:33+00:00",
    typed=["optimizer.lr=0.1,0.01", "epochs=2"],
    keys=["optimizer.lr"],
    planned=2,
    points=[["optimizer.lr=0.1", "epochs=2"], ["optimizer.lr=0.01", "epochs=2"]],
    threads=1,
    sweeper={"_target_": "hydra_plugins.runner_plugins.grid.GridSweeper"},
    launcher={"n_jobs": 2},
)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDirectory:
    folder = SweepDirectory(tmp_path / "13-20-33-sweep")
    folder.runs_folder.mkdir(parents=True)
    folder.write(RECORD)
    return folder


def make_run(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 0\n")
    return folder


def test_a_record_reads_as_it_was_written(sweep: SweepDirectory) -> None:
    assert SweepDirectory.open(sweep.path).record() == RECORD


def test_a_damaged_record_is_told(sweep: SweepDirectory) -> None:
    sweep.sweep_file.write_text("created: 1\nplaned: 3\n")
    with pytest.raises(UserError, match=r"sweep\.yaml is damaged"):
        sweep.record()


def test_a_folder_without_a_record_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it has no sweep\.yaml"):
        SweepDirectory.open(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        SweepDirectory.open(tmp_path / "nothing")


def test_runs_are_found_by_number_and_what_is_half_made_is_not(sweep: SweepDirectory) -> None:
    tenth, second = (make_run(sweep.runs_folder / name) for name in ("0010-lr-0.1", "0002-lr-0.01"))
    (sweep.runs_folder / ".0003-lr-1.abcd.tmp").mkdir()
    (sweep.runs_folder / "0004-lr-2").mkdir()
    assert {number: run.path for number, run in sweep.runs().items()} == {2: second, 10: tenth}


def test_a_sweep_whose_folder_of_runs_was_not_copied_has_none(sweep: SweepDirectory) -> None:
    sweep.runs_folder.rmdir()
    assert sweep.runs() == {}


def test_a_run_knows_its_sweep_and_its_number(sweep: SweepDirectory, tmp_path: Path) -> None:
    run = make_run(sweep.runs_folder / "0010-lr-0.1")
    assert SweepDirectory.of_run(run) == sweep
    assert number_of(run) == 10
    assert SweepDirectory.of_run(make_run(tmp_path / "alone")) is None


def test_a_run_is_named_by_what_differs_in_a_name_that_every_file_system_takes(sweep: SweepDirectory) -> None:
    assert sweep.place(3, [("optimizer.lr", "0.1"), ("data", "my/data")]).name == "0003-lr-0.1-data-my-data"
    assert len(sweep.place(3, [("model.hidden", "[512,512]" * 40)]).name) < 128


def test_a_sweep_is_there_with_all_its_runs_or_not_at_all(tmp_path: Path) -> None:
    wanted = tmp_path / "13-20-33-sweep"
    seen: list[int] = []

    def fill(draft: SweepDirectory) -> None:
        seen.append(len(list(tmp_path.glob("[!.]*"))))  # what is left of a process that is killed here
        for number in range(2):
            make_run(draft.place(number, []))

    first, second = (create(wanted, RECORD, fill) for _ in range(2))
    assert seen == [0, 1]
    assert [first.path.name, second.path.name] == ["13-20-33-sweep", "13-20-33-sweep-2"]
    assert [list(one.runs()) for one in (first, second)] == [[0, 1], [0, 1]]
    assert first.record() == RECORD


def test_a_sweep_whose_making_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def fill(draft: SweepDirectory) -> None:
        make_run(draft.place(0, []))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "13-20-33-sweep", RECORD, fill)
    assert not list(tmp_path.iterdir())
