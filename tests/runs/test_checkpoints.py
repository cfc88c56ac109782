"""Checkpoints: whole or refused, and readable by anybody's torch."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import UserError
from runner.runs.checkpoints import CheckpointStore, DamagedCheckpointError, dumps, loads

STATE = {"weight": torch.arange(6.0).view(2, 3), "step": 7, "nested": {"names": ["a", "b"]}}


def test_a_state_comes_back_as_it_was() -> None:
    found = loads(dumps(STATE))
    assert torch.equal(found["weight"], STATE["weight"])
    assert (found["step"], found["nested"]) == (7, {"names": ["a", "b"]})


def test_torch_reads_the_file_as_it_is_and_without_unpickling_code(tmp_path: Path) -> None:
    CheckpointStore(tmp_path).save(STATE, best=False)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 7


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(0, 10_000))
def test_a_file_cut_short_anywhere_is_refused(cut: int) -> None:
    content = dumps(STATE)
    with pytest.raises(DamagedCheckpointError):
        loads(content[: cut % len(content)])


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 100_000), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(position: int, bit: int) -> None:
    content = bytearray(dumps(STATE))
    content[position % len(content)] ^= 1 << bit
    with pytest.raises(DamagedCheckpointError):
        loads(bytes(content))


def test_a_file_with_bytes_after_its_end_is_refused() -> None:
    with pytest.raises(DamagedCheckpointError):
        loads(dumps(STATE) + b"x")


def test_best_stays_while_last_goes_on(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save({"step": 1}, best=True)
    store.save({"step": 2}, best=False)
    assert store.load("best")["step"] == 1
    assert store.load("last")["step"] == 2


def test_a_damaged_last_checkpoint_costs_the_steps_since_the_one_before(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (1, 2, 3):
        store.save({"step": step}, best=False)
    last = tmp_path / "last.pt"
    last.unlink()
    last.write_bytes(b"nothing that torch wrote")
    state, damaged = store.newest()
    assert state == {"step": 2}
    assert damaged == ["last.pt is damaged: its content does not match its digest"]


def test_a_run_whose_every_checkpoint_is_damaged_does_not_start_over_in_silence(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"no checkpoint in .* is whole"):
        CheckpointStore(tmp_path).newest()


def test_a_run_without_checkpoints_starts_at_the_beginning(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path).newest() == (None, [])


def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(STATE, best=False)
    with pytest.raises(UserError, match=r"no checkpoint .*best\.pt\n  expected: last"):
        store.load("best")


def test_saving_leaves_no_temporary_file(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for _ in range(2):
        store.save(STATE, best=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.pt", "last.pt", "previous.pt"]
