"""A checkpoint file: whole or refused, and readable by anybody's torch."""

import errno
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.runs.checkpoints import DamagedCheckpointError, read_checkpoint, write_checkpoint

STATE = {"weight": torch.arange(6.0).view(2, 3), "step": 7, "nested": {"names": ["a", "b"]}}

same_folder = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file that holds STATE."""
    write_checkpoint(tmp_path / "a.pt", STATE)
    return tmp_path / "a.pt"


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file can grow beyond 100,000 bytes: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_state_comes_back_as_it_was(written: Path) -> None:
    found = read_checkpoint(written)
    assert torch.equal(found["weight"], STATE["weight"])
    assert (found["step"], found["nested"]) == (7, {"names": ["a", "b"]})


def test_torch_reads_the_file_as_it_is_and_without_unpickling_code(written: Path) -> None:
    assert torch.load(written, weights_only=True)["step"] == 7


@same_folder
@given(cut=st.integers(0, 10_000))
def test_a_file_cut_short_anywhere_is_refused(written: Path, cut: int) -> None:
    content = written.read_bytes()
    damaged = written.with_name("cut.pt")
    damaged.write_bytes(content[: cut % len(content)])
    with pytest.raises(DamagedCheckpointError):
        read_checkpoint(damaged)


@same_folder
@given(position=st.integers(0, 100_000), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(written: Path, position: int, bit: int) -> None:
    content = bytearray(written.read_bytes())
    content[position % len(content)] ^= 1 << bit
    damaged = written.with_name("flipped.pt")
    damaged.write_bytes(content)
    with pytest.raises(DamagedCheckpointError):
        read_checkpoint(damaged)


def test_bytes_after_the_end_are_refused(written: Path) -> None:
    with written.open("ab") as file:
        file.write(b"x")
    with pytest.raises(DamagedCheckpointError):
        read_checkpoint(written)


def test_a_full_disk_is_an_error_and_leaves_the_old_file_whole(written: Path, small_files: None) -> None:
    with pytest.raises(OSError, match="too large") as failure:
        write_checkpoint(written, {"weight": torch.zeros(1_000_000)})
    assert failure.value.errno == errno.EFBIG
    assert read_checkpoint(written)["step"] == 7
    assert [file.name for file in written.parent.iterdir()] == ["a.pt"]
