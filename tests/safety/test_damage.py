"""Checkpoints that were cut short, altered or made by somebody with ill intent."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import after_step, command, contents, done, kill_once_saved, result, resume, status_of, train

from runner.runs.checkpoints import write_checkpoint


def train_and_die() -> int:
    """Die in the third epoch, with a checkpoint of each of the two before it."""
    after_step(10, kill_once_saved)
    return train()


@pytest.fixture
def killed(home: Path) -> Path:
    """The checkpoints of a run that was killed in its third epoch."""
    assert done(home, train_and_die)[0] == -9
    checkpoints = home / "run" / "checkpoints"
    assert {"last.pt", "step-00000004-epoch-1.pt", "step-00000008-epoch-2.pt"} <= set(os.listdir(checkpoints))
    return checkpoints


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]


def emptied(content: bytes) -> bytes:
    return b""


def test_one_flipped_bit_among_the_weights_is_enough(killed: Path) -> None:
    assert flipped((killed / "last.pt").read_bytes()) != (killed / "last.pt").read_bytes()


CUT = "it does not end with a digest: it was cut off, or another program wrote it"


@pytest.mark.parametrize(
    ("damage", "reason"), [(cut, CUT), (flipped, "its content does not match its digest"), (emptied, CUT)]
)
def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before_and_says_so(
    home: Path, killed: Path, alone: dict[str, Any], damage: Callable[[bytes], bytes], reason: str
) -> None:
    newest = killed / "step-00000008-epoch-2.pt"
    newest.write_bytes(damage(newest.read_bytes()))  # and last.pt with it, which is a name of the same file
    code, text = done(home, resume)
    assert code == 0
    assert f"warning: last.pt is damaged: {reason}\n" in text
    assert f"warning: step-00000008-epoch-2.pt is damaged: {reason}\n" in text
    assert "resume   after step 4, in epoch 2\n" in text
    assert result(home / "run") == alone


def test_a_run_whose_last_pt_alone_is_damaged_loses_no_step(home: Path, killed: Path, alone: dict[str, Any]) -> None:
    content = (killed / "last.pt").read_bytes()
    (killed / "last.pt").unlink()
    (killed / "last.pt").write_bytes(flipped(content))
    code, text = done(home, resume)
    assert code == 0
    assert "warning: last.pt is damaged" in text
    assert "resume   after step 8, in epoch 3\n" in text
    assert result(home / "run") == alone


def test_a_run_whose_every_checkpoint_is_damaged_is_refused_and_nothing_is_lost(
    home: Path, killed: Path, alone: dict[str, Any]
) -> None:
    good = {file: file.read_bytes() for file in killed.iterdir()}
    for file, content in good.items():
        file.unlink()
        file.write_bytes(flipped(content))
    kept = ["checkpoints", "metrics.csv", "tensorboard", "config.yaml", "overrides.yaml"]
    was = {name: contents(home / "run")[name] for name in contents(home / "run") if name.split("/")[0] in kept}
    code, text = done(home, resume)
    assert code == 1
    assert "no checkpoint in run/checkpoints is whole: last.pt is damaged: " in text
    assert "put back a copy of one" in text
    assert {name: contents(home / "run")[name] for name in was} == was
    assert status_of(home / "run").state == "failed"

    for file, content in good.items():
        file.write_bytes(content)
    assert done(home, resume)[0] == 0
    assert result(home / "run") == alone


class Sly:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@pytest.fixture
def sly(killed: Path) -> Path:
    """A checkpoint whose digest is right, and which runs a command when it is unpickled."""
    write_checkpoint(killed / "sly.pt", {"model": {}, "progress": Sly()})
    return killed / "sly.pt"


REFUSED = "it holds more than tensors and plain values, and could run code if it were loaded: posix.system"


def test_a_checkpoint_that_pickles_code_is_not_evaluated(home: Path, sly: Path) -> None:
    code, text = done(home, command, "eval", "run", "--checkpoint", "run/checkpoints/sly.pt")
    assert (code, "Traceback" in text) == (2, False)
    assert f"the checkpoint run/checkpoints/sly.pt is damaged: {REFUSED}\n" in text
    assert not (home / "ran").exists()


def test_a_run_does_not_go_on_from_a_checkpoint_that_pickles_code(home: Path, sly: Path, alone: dict[str, Any]) -> None:
    sly.replace(sly.with_name("last.pt"))
    code, text = done(home, resume)
    assert code == 0
    assert f"warning: last.pt is damaged: {REFUSED}\n" in text
    assert not (home / "ran").exists()
    assert result(home / "run") == alone


def test_a_checkpoint_of_something_else_is_refused(home: Path, killed: Path) -> None:
    import torch

    torch.save([1], killed / "list.pt")
    code, text = done(home, command, "eval", "run", "--checkpoint", "run/checkpoints/list.pt")
    assert (code, "Traceback" in text) == (2, False)
    assert f"the checkpoint run/checkpoints/list.pt is damaged: {CUT}" in text


@pytest.mark.parametrize("damage", [cut, emptied])
def test_a_run_whose_status_is_damaged_goes_on_and_says_so(
    home: Path, killed: Path, alone: dict[str, Any], damage: Callable[[bytes], bytes]
) -> None:
    status = home / "run" / "status.json"
    status.write_bytes(damage(status.read_bytes()))
    code, text = done(home, resume)
    assert code == 0
    assert "warning: run/status.json is damaged: the state of the run is not known; it is written anew\n" in text
    assert result(home / "run") == alone
    assert status_of(home / "run").executions == 2


def test_a_complete_run_whose_status_is_lost_is_complete_again(home: Path, alone: dict[str, Any]) -> None:
    assert done(home, train)[0] == 0
    (home / "run" / "status.json").unlink()
    assert done(home, command, "reproduce", "run")[0] == 2
    assert done(home, resume)[0] == 0
    assert result(home / "run") == alone
