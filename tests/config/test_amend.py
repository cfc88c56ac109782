"""Changing a run before it is resumed: what does not change its past, and nothing else."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.config.amend import FREE, amend
from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.runs.status import Status

NewRun = Callable[..., RunDirectory]


def accept(config: Mapping[str, Any]) -> None:
    pass


@pytest.fixture
def run(new_run: NewRun) -> RunDirectory:
    """A run of the digits, with a constant learning rate."""
    return new_run("device=cpu")


def refused(run: RunDirectory, *overrides: str) -> str:
    """What is told of changes that are refused; nothing is written then."""
    files = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    with pytest.raises(UserError) as refusal:
        amend(run, overrides, accept)
    assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == files
    return str(refusal.value)


CHANGES = {
    "epochs=20": ("epochs", 20),
    "device=auto": ("device.kind", "auto"),
    "device.kind=auto": ("device.kind", "auto"),
    "device.precision=bf16": ("device.precision", "bf16"),
    "device.threads=null": ("device.threads", None),
    "checkpoint.every_steps=7": ("checkpoint.every_steps", 7),
    "checkpoint.every_minutes=0.5": ("checkpoint.every_minutes", 0.5),
    "tracking.tensorboard=false": ("tracking.tensorboard", False),
    "data.workers=3": ("data.workers", 3),
    "training.nonfinite=skip": ("training.nonfinite", "skip"),
    "training.test=false": ("training.test", False),
    "epochs=2e1": ("epochs", 20),
    "epochs=020": ("epochs", 20),  # YAML reads 16
    "checkpoint={keep_last: 5}": ("checkpoint.keep_last", 5),
}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


@pytest.mark.parametrize(("text", "expected"), CHANGES.items(), ids=CHANGES)
def test_a_change_of_the_future_is_made_and_recorded(run: RunDirectory, text: str, expected: tuple[str, Any]) -> None:
    before, typed = flat(run.config()), yaml.safe_load(run.overrides_file.read_text())
    amend(run, [text], accept)
    assert flat(run.config()) == before | {expected[0]: expected[1]}
    after = yaml.safe_load(run.overrides_file.read_text())
    (record,) = after.pop("resumed")
    assert (record["with"], record["at"][:2]) == ([text], "20")
    assert after == typed


def test_every_free_setting_exists(run: RunDirectory) -> None:
    known = flat(run.config())
    assert [key for key in FREE if not any(name == key or name.startswith(f"{key}.") for name in known)] == []


def test_changes_of_several_resumes_are_recorded_one_after_the_other(run: RunDirectory) -> None:
    amend(run, ["epochs=20"], accept)
    amend(run, ["epochs=30", "data.workers=1"], accept)
    resumed = yaml.safe_load(run.overrides_file.read_text())["resumed"]
    assert [record["with"] for record in resumed] == [["epochs=20"], ["epochs=30", "data.workers=1"]]
    assert (run.config()["epochs"], run.config()["data"]["workers"]) == (30, 1)


@pytest.mark.parametrize(
    ("text", "was"),
    [
        ("seed=3", "seed=0"),
        ("optimizer.lr=0.5", "optimizer.lr=0.001"),
        ("data.batch_size=7", "data.batch_size=64"),
        ("data.split.val=0.5", "data.split.val=0.15"),
        ("model.dropout=0.5", "model.dropout=0"),
        ("training.accumulate=2", "training.accumulate=1"),
        ("monitor=val/loss", "monitor=auto"),
    ],
)
def test_a_change_of_the_past_is_refused_with_what_it_was(run: RunDirectory, text: str, was: str) -> None:
    told = refused(run, text)
    assert f"{text} would change the past: what was trained so far was trained with {was}" in told
    assert "expected: one of epochs, device, checkpoint, " in told
    assert "fix:      runner train starts a new run with it" in told


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_more_epochs_are_refused_where_the_learning_rate_depended_on_their_number(
    new_run: NewRun, schedule: str
) -> None:
    told = refused(new_run(f"scheduler={schedule}"), "epochs=20")
    assert told.startswith(f"epochs=20 would change the past: the rates of scheduler={schedule} so far were on the way")


@pytest.mark.parametrize("schedule", ["constant", "step", "multistep", "exponential", "plateau"])
def test_they_are_welcome_where_it_did_not(new_run: NewRun, schedule: str) -> None:
    run = new_run(f"scheduler={schedule}")
    amend(run, ["epochs=20"], accept)
    assert run.config()["epochs"] == 20


@pytest.mark.parametrize("status", [Status(epoch=3), Status(epoch=2, epoch_seconds=0.1)], ids=["trained", "begun"])
def test_fewer_epochs_than_were_trained_are_refused(run: RunDirectory, status: Status) -> None:
    status.write(run.status_file)
    assert "epochs=2.0 would change the past" in refused(run, "epochs=2.0")
    told = refused(run, "epochs=2")
    assert told.startswith(
        "epochs=2 would change the past: epoch 3 is trained, or has begun\n  expected: epochs=3 or more"
    )
    amend(run, ["epochs=3"], accept)
    assert run.config()["epochs"] == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epochs", "epochs cannot be read\n  expected: key=value"),
        ("device={", "device={ cannot be read: "),
        ("epochs=ten", "epochs=ten is not valid"),
        ("epochs=0", "epochs=0 is not valid"),
        ("data.workers=-1", "data.workers=-1 is not valid"),
        ("device.precision=fp8", "device.precision=fp8 is not valid"),
        (
            "device=cuda:1",
            "device=cuda:1: there is no such device\n  expected: auto, cpu, cuda, mps, ddp, fsdp\n"
            "  nearest:  cuda\n  fix:      device=cuda",
        ),
        ("device=fdsp", "\n  fix:      device=fsdp"),
        ("epochs=20,30", "epochs=20,30 is several values, and a run has one"),
        ("+epochs=20", "+epochs=20: a setting of a run is changed, not added or removed\n  fix:      epochs=VALUE"),
        ("~epochs", "~epochs: a setting of a run is changed, not added or removed"),
        ("checkpoint.every_minutes=1:30", "checkpoint.every_minutes=1:30 is not valid"),  # YAML reads 90
        ("checkpoint={keep_last: 0}", "checkpoint.keep_last=0 is not valid"),
        ("epoch=3", "epoch is not a setting"),
        ("checkpoint.keep_lats=3", "checkpoint.keep_lats is not a setting"),
        ("data.workers.number=3", "data.workers.number is not a setting"),
    ],
)
def test_what_cannot_be_is_refused(run: RunDirectory, text: str, told: str) -> None:
    assert told in refused(run, text)


def test_going_on_with_one_process_says_what_else_has_to_change(new_run: NewRun) -> None:
    run = new_run("device=ddp", "device.processes=2", "device.sync_batch_norm=true")
    told = refused(run, "device.parallel=none")
    assert told.startswith("device.processes=2 device.sync_batch_norm=true is for several processes, and")
    (others,) = [line.partition(", or ")[2] for line in told.splitlines() if "fix:" in line]
    amend(run, ["device.parallel=none", *others.split()], accept)
    assert run.config()["device"]["parallel"] == "none"


def test_one_wrong_change_keeps_the_others_from_being_made_and_all_are_told(run: RunDirectory) -> None:
    told = refused(run, "epochs=20", "seed=3", "epoch=4", "data.workers=-1")
    assert [line for line in told.splitlines() if "seed" in line or "epoch is" in line or "workers=-1" in line] != []
    for part in ("seed=3 would change the past", "epoch is not a setting", "data.workers=-1 is not valid"):
        assert part in told


def test_what_is_not_accepted_is_not_written(run: RunDirectory) -> None:
    seen = []

    def refuse(config: Mapping[str, Any]) -> None:
        seen.append(config["device"]["kind"])
        raise UserError("there is none here")

    files = {path: path.read_bytes() for path in Path(run.path).iterdir() if path.is_file()}
    with pytest.raises(UserError, match="there is none here"):
        amend(run, ["device=cuda"], refuse)
    assert seen == ["cuda"]
    assert {path: path.read_bytes() for path in Path(run.path).iterdir() if path.is_file()} == files
