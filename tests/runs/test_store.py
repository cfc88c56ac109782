"""Which checkpoints stay, and which one a run goes on from."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.errors import UserError
from runner.runs.background import BackgroundSaver
from runner.runs.snapshot import Snapshot
from runner.runs.store import CheckpointStore, Planned, Retention, load_checkpoint


def store(folder: Path, last: int = 2, best: int = 1, every: int | None = None) -> CheckpointStore:
    return CheckpointStore(folder, Retention(last, best, every))


def at(step: int, batch: int = 0) -> dict[str, Any]:
    """A state, as far as a store looks into it."""
    return {"progress": {"step": step, "batch": batch}}


def save_epochs(target: CheckpointStore, best_epochs: list[int]) -> None:
    """Save at the end of epochs 1, 2, ... of ten steps; each entry is the best epoch by then."""
    for epoch, best in enumerate(best_epochs, start=1):
        target.save(at(10 * epoch), Planned(10 * epoch, epoch, (10 * best,)))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def damage(file: Path) -> None:
    """Replace the file behind one name, as a disk would, not what its other names mean."""
    file.unlink()
    file.write_bytes(b"nothing that torch wrote")


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    save_epochs(store(tmp_path), [1, 2, 2, 2, 2])
    assert names(tmp_path) == [
        "best.pt",
        "last.pt",
        "step-00000020-epoch-2.pt",
        "step-00000040-epoch-4.pt",
        "step-00000050-epoch-5.pt",
    ]
    assert store(tmp_path).load("best") == at(20)
    assert store(tmp_path).load("last") == at(50)


def test_several_best_epochs_stay(tmp_path: Path) -> None:
    target = store(tmp_path, last=1, best=2)
    for epoch, ranking in enumerate([(10,), (20, 10), (20, 30), (20, 30)], start=1):
        target.save(at(10 * epoch), Planned(10 * epoch, epoch, ranking))
    assert names(tmp_path)[2:] == [f"step-000000{epoch}0-epoch-{epoch}.pt" for epoch in (2, 3, 4)]


def test_every_so_many_epochs_stay(tmp_path: Path) -> None:
    save_epochs(store(tmp_path, last=1, every=2), [1, 2, 3, 4, 5])
    assert names(tmp_path)[2:] == [f"step-000000{epoch}0-epoch-{epoch}.pt" for epoch in (2, 4, 5)]


def test_a_checkpoint_saved_on_request_is_last_alone_and_pushes_nothing_out(tmp_path: Path) -> None:
    target = store(tmp_path)
    save_epochs(target, [1, 1])
    before = names(tmp_path)
    target.save(at(23, batch=3), None)
    assert names(tmp_path) == before
    assert target.load("last") == at(23, batch=3)
    assert target.load("best") == at(10)


def test_checkpoints_are_ordered_by_step_not_by_the_clock(tmp_path: Path) -> None:
    target = store(tmp_path)
    save_epochs(target, [1, 1])
    os.utime(tmp_path / "step-00000010-epoch-1.pt", (2**31, 2**31))
    damage(tmp_path / "last.pt")
    assert target.newest()[0] == at(20)


def test_a_damaged_last_checkpoint_costs_the_steps_since_the_one_before(tmp_path: Path) -> None:
    target = store(tmp_path)
    save_epochs(target, [1, 1, 1])
    damage(tmp_path / "last.pt")
    damage(tmp_path / "step-00000030-epoch-3.pt")
    state, told, _ = target.newest()
    assert state == at(20)
    reason = "it does not end with a digest: it was cut off, or another program wrote it"
    assert told == [
        f"last.pt is damaged: {reason}",
        f"step-00000030-epoch-3.pt is damaged: {reason}",
    ]


def test_a_run_whose_every_checkpoint_is_damaged_does_not_start_over_in_silence(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"no checkpoint in .* is whole"):
        store(tmp_path).newest()


def test_a_run_without_checkpoints_starts_at_the_beginning(tmp_path: Path) -> None:
    assert store(tmp_path).newest() == (None, [], None)


def test_what_lies_beyond_the_state_that_is_taken_up_is_removed(tmp_path: Path) -> None:
    target = store(tmp_path, last=3)
    save_epochs(target, [1, 1, 1])
    (tmp_path / ".last.pt.123.tmp").write_bytes(b"half")
    target.forget_after(20)
    assert names(tmp_path) == ["best.pt", "last.pt", "step-00000010-epoch-1.pt", "step-00000020-epoch-2.pt"]


def test_a_checkpoint_that_was_written_but_not_yet_called_last_is_the_newest(tmp_path: Path) -> None:
    target = store(tmp_path)
    save_epochs(target, [1, 1])
    older = (tmp_path / "last.pt").read_bytes()
    target.save(at(30), Planned(30, 3, (30, 10)))
    (tmp_path / "last.pt").unlink()
    (tmp_path / "last.pt").write_bytes(older)
    assert target.newest() == (at(30), [], tmp_path / "step-00000030-epoch-3.pt")


def test_the_end_of_an_epoch_is_newer_than_its_last_step(tmp_path: Path) -> None:
    target = store(tmp_path)
    target.save(at(10, batch=10), Planned(10, None, ()))
    inside = (tmp_path / "last.pt").read_bytes()
    target.save(at(10), Planned(10, 1, (10,)))
    (tmp_path / "last.pt").unlink()
    (tmp_path / "last.pt").write_bytes(inside)
    assert target.newest() == (at(10), [], tmp_path / "step-00000010-epoch-1.pt")


def test_a_checkpoint_saved_on_request_is_newer_than_the_planned_one_before_it(tmp_path: Path) -> None:
    target = store(tmp_path)
    save_epochs(target, [1, 1])
    target.save(at(23, batch=3), None)
    assert target.newest() == (at(23, batch=3), [], tmp_path / "last.pt")


@pytest.mark.parametrize("gone", [(), ("last.pt",), ("last.pt", "best.pt")], ids=str)
def test_names_and_removals_that_a_killed_process_left_undone_are_done_when_it_is_taken_up(
    tmp_path: Path, gone: tuple[str, ...]
) -> None:
    target = store(tmp_path, last=1)
    save_epochs(target, [1, 1])
    planned = Planned(30, 3, (30,))
    target.save(at(30), planned)
    expected = names(tmp_path)
    for name in gone:
        (tmp_path / name).unlink()
    (tmp_path / "step-00000020-epoch-2.pt").write_bytes((tmp_path / "step-00000030-epoch-3.pt").read_bytes())
    target.forget_after(planned.step, planned.ranking)
    assert names(tmp_path) == expected
    assert target.load("last") == target.load("best") == at(30)


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    target = store(tmp_path)
    target.save(at(3, batch=3), None)
    with pytest.raises(UserError, match=r"no checkpoint .*best\.pt\n  expected: last"):
        target.load("best")


def test_without_hard_links_names_are_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refused)
    save_epochs(store(tmp_path), [1, 1])
    assert store(tmp_path).load("best") == at(10)
    assert store(tmp_path).load("last") == at(20)


def test_a_snapshot_stays_as_it_was_while_training_goes_on() -> None:
    weight = torch.zeros(3)
    copied = Snapshot().take({"weight": weight, "names": [weight, "a"], "pair": (1, weight)})
    weight.fill_(7)
    assert copied["weight"].tolist() == [0, 0, 0]
    assert copied["names"][0].tolist() == [0, 0, 0]
    assert (copied["names"][1], copied["pair"][0]) == ("a", 1)


def test_a_snapshot_uses_its_memory_again() -> None:
    snapshot = Snapshot()
    first = snapshot.take({"weight": torch.zeros(3)})["weight"].data_ptr()
    second = snapshot.take({"weight": torch.ones(3)})["weight"]
    assert second.data_ptr() == first
    assert second.tolist() == [1, 1, 1]


def test_a_snapshot_of_a_changed_shape_gets_memory_of_its_own() -> None:
    snapshot = Snapshot()
    snapshot.take({"weight": torch.zeros(3)})
    assert snapshot.take({"weight": torch.ones(2, 2)})["weight"].tolist() == [[1, 1], [1, 1]]


def test_what_is_written_in_the_background_is_the_state_of_the_step_that_saved_it(tmp_path: Path) -> None:
    weight = torch.zeros(1000)
    with BackgroundSaver(store(tmp_path, last=10)) as saver:
        for step in range(5):
            weight.fill_(step)
            saver.save({"weight": weight}, Planned(step, None, ()))
            weight.fill_(-1)
    for step in range(5):
        found = store(tmp_path).load(str(tmp_path / f"step-{step:08d}.pt"))["weight"]
        assert found.unique().tolist() == [step]


def test_a_write_that_failed_is_raised_by_the_next_save(tmp_path: Path) -> None:
    saver = BackgroundSaver(store(tmp_path / "missing" / "folder"))
    saver.save(at(1), None)
    with pytest.raises(FileNotFoundError):
        saver.save(at(2), None)


def test_a_write_that_failed_is_raised_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), BackgroundSaver(store(tmp_path / "missing" / "folder")) as saver:
        saver.save(at(1), None)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"the checkpoint {tmp_path} cannot be read: Is a directory\n  expected: best"):
        load_checkpoint(tmp_path, str(tmp_path))
