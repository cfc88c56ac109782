"""Models of which each process has a part: the same losses, exact resuming, and checkpoints that anybody reads."""

import json
import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import assert_identical, before
from crew import after_step, assert_same, command, crew, done, execute, is_rank, rows, send, status_of
from torch import nn
from torch.distributed.checkpoint.metadata import BytesStorageMetadata

from runner.runs.checkpoints import DamagedCheckpointError, read_checkpoint, write_checkpoint
from runner.runs.directory import RunDirectory
from runner.runs.shards import digests
from runner.training.sharded import blocks

NewRun = Callable[..., RunDirectory]

PLAIN = (
    "epochs=2",
    "tracking.tensorboard=false",
    "model.hidden=[16,12]",
    "model.dropout=0",
    "data.batch_size=150",
    "name=same",
)
FSDP = (*PLAIN, "device=fsdp")
DROPOUT = (
    *FSDP,
    "model.dropout=0.3",
    "training.accumulate=2",
    "optimizer=adamw",
    "checkpoint.every_steps=2",
    "epochs=3",
)
"""5 updates an epoch."""

CASES = {
    "Adam, fused, with a last batch of 57": (*PLAIN,),
    "accumulation and momentum": (*PLAIN, "training.accumulate=4", "optimizer=sgd", "optimizer.momentum=0.9"),
    "averaged weights, penalties and clipping": (
        *PLAIN,
        "regularization=[ema,l1,l2,clip]",
        "optimizer=sgd",
        "optimizer.lr=0.05",
    ),
    "class weights": (*PLAIN, "training.accumulate=2", "loss.weight=[1,9,1,1,1,1,1,1,0.2,1]"),
    "a convolutional network": ("model=convnet", "model.widths=[8]", *PLAIN[:2], *PLAIN[4:], "optimizer=sgd"),
    "Muon, which computes in half precision": (*PLAIN, "optimizer=muon", "epochs=1"),
}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_metrics_are_those_of_one_process(new_run: NewRun, case: str) -> None:
    alone = new_run(*CASES[case])
    shared = new_run(*CASES[case], "device=fsdp", f"device.sync_batch_norm={str('conv' in case).lower()}")
    execute(alone, 1)
    execute(shared, 2)
    assert_same(shared, alone, weights_within=1e-3 if "half precision" in case else 1e-6)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes come to that are left alone."""
    from runner.config.compose import Composer
    from runner.config.paths import Places
    from runner.launch.single import freeze

    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = freeze(Composer(Places.find(None, folder)).compose(DROPOUT))
        execute(run, 2)
        return outcome(run)


def outcome(run: RunDirectory) -> dict[str, Any]:
    """All that a run came to, its checkpoints put together, but for times."""
    status = status_of(run)
    files = sorted(path.name for path in run.checkpoints.glob("*.pt"))
    states = {name: read_checkpoint(run.checkpoints / name) for name in files}
    for state in states.values():
        state["tracker"].pop("events")
    return {
        "checkpoints": states,
        "rows": rows(run),
        "status": (status.state, status.epoch, status.step, status.best, status.metrics),
        "folders": len(list(run.checkpoints.glob("*.shards"))),
        "left": sorted(path.name for path in run.checkpoints.glob(".*")),
    }


def resume_and(run: str, step: int, number: int, ranks: list[int]) -> int:
    """Execute a run, of which some processes are sent a signal after a step."""
    if any(map(is_rank, ranks)):
        after_step(step, send(number))
    return command("resume", run)


def kill_while_pieces_are_written(run: str, number: int) -> int:
    """Execute a run that is killed when the pieces of a checkpoint have no name yet."""
    from runner.training import sharded

    if is_rank(0):
        before(sharded, "publish", send(signal.SIGKILL), number)
    return command("resume", run)


def test_a_run_that_was_stopped_and_killed_ends_like_the_one_left_alone(
    new_run: NewRun, alone: dict[str, Any], tmp_path: Path
) -> None:
    run = new_run(*DROPOUT)
    assert done(tmp_path, 2, resume_and, str(run.path), 3, signal.SIGTERM, [1])[0] == [75, 75]
    assert done(tmp_path, 2, resume_and, str(run.path), 8, signal.SIGKILL, [0, 1])[0] == [-9, -9]
    with crew(tmp_path, 2, kill_while_pieces_are_written, str(run.path), 2) as together:
        assert together.codes(within_s=30) == [-9, 1]
    assert list(run.checkpoints.glob(".*.shards.tmp")), "half-written"
    execute(run, 2)
    assert_identical(outcome(run), alone)
    assert alone["folders"] == len({state["progress"]["step"] for state in alone["checkpoints"].values()})
    assert alone["left"] == []


SUMS_IN_FLOAT64 = """
import torch

class Sums(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for weight in (weight for group in self.param_groups for weight in group["params"]):
            sums = self.state[weight].setdefault("sums", torch.zeros_like(weight, dtype=torch.float64))
            sums += weight.grad.double() ** 2
            weight -= self.param_groups[0]["lr"] * weight.grad / sums.sqrt().clamp(min=1e-6)
"""


def test_pieces_that_an_optimizer_keeps_in_another_type_than_the_weights_go_on_exactly(
    new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sums.py").write_text(SUMS_IN_FLOAT64)
    (tmp_path / "conf" / "optimizer").mkdir(parents=True)
    (tmp_path / "conf" / "optimizer" / "sums.yaml").write_text("_target_: sums.Sums\nlr: 0.01\n")
    monkeypatch.syspath_prepend(tmp_path)
    left_alone, stopped = (new_run(*FSDP, "optimizer=sums") for _ in range(2))
    execute(left_alone, 2)
    assert done(tmp_path, 2, resume_and, str(stopped.path), 3, signal.SIGTERM, [0])[0] == [75, 75]
    execute(stopped, 2)
    assert_identical(outcome(stopped), outcome(left_alone))


def test_any_number_of_processes_goes_on_with_what_another_number_has_saved(new_run: NewRun, tmp_path: Path) -> None:
    typed = (*PLAIN, "optimizer=sgd", "optimizer.lr=0.05", "optimizer.momentum=0.9", "epochs=4", "regularization=[ema]")
    whole, run = new_run(*typed), new_run(*typed, "device=fsdp")
    execute(whole, 1)
    assert done(tmp_path, 2, resume_and, str(run.path), 4, signal.SIGTERM, [0])[0] == [75, 75]
    assert done(tmp_path, 3, resume_and, str(run.path), 12, signal.SIGTERM, [2])[0] == [75, 75, 75]
    execute(run, 1)
    assert_same(run, whole)


def test_from_pieces_to_replicas_and_back(new_run: NewRun, tmp_path: Path) -> None:
    typed = (*PLAIN, "optimizer=adamw", "optimizer.lr=0.01", "epochs=3")
    whole, run = new_run(*typed), new_run(*typed, "device=ddp")
    execute(whole, 1)
    assert done(tmp_path, 2, resume_and, str(run.path), 4, signal.SIGTERM, [0])[0] == [75, 75]
    assert done(tmp_path, 2, resume_and_change, str(run.path), 12, "device=fsdp")[0] == [75, 75]
    assert list(run.checkpoints.glob("*.shards"))
    execute(run, 2, "device=ddp")
    assert not list(run.checkpoints.glob("*.shards")), "no checkpoint names them any more"
    assert_same(run, whole, weights_within=1e-4)


def resume_and_change(run: str, step: int, *overrides: str) -> int:
    """Execute a run, changed, that is asked to stop after a step."""
    after_step(step, send(signal.SIGTERM))
    return command("resume", run, *overrides)


def test_one_process_evaluates_predicts_with_and_exports_what_several_have_saved(
    new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(*FSDP)
    execute(run, 2)
    codes, text = done(tmp_path, 1, command, "eval", str(run.path), "--json")
    assert codes == [0]
    figures = json.loads(text[text.index("{") :])["metrics"]
    assert figures["loss"] == pytest.approx(rows(run)[-1]["test/loss"], rel=1e-6)
    codes, text = done(tmp_path, 1, command, "export", str(run.path), "--format", "weights", "-o", "weights.pt")
    assert codes == [0], text
    exported = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert_identical(exported, dict(read_checkpoint(run.checkpoints / "best.pt")["model"]))
    assert {type(value) for value in exported.values()} == {torch.Tensor}
    started = new_run(*FSDP, f"model.weights={tmp_path / 'weights.pt'}", "optimizer.lr=1e-12", "epochs=1")
    execute(started, 2)
    assert rows(started)[0]["val/loss"] == pytest.approx(rows(run)[-2]["val/loss"], rel=1e-5)


def test_a_piece_that_is_damaged_is_reported_and_the_checkpoint_before_it_used(new_run: NewRun) -> None:
    run = new_run(*FSDP, "checkpoint.keep_last=2")
    execute(run, 2)
    newest = torch.load(run.checkpoints / "last.pt", weights_only=True)["shards"]["folder"]
    piece = run.checkpoints / newest / "__1_0.distcp"
    content = bytearray(piece.read_bytes())
    content[len(content) // 2] ^= 1
    piece.write_bytes(bytes(content))
    text = execute(run, 2, "epochs=3")
    assert f"warning: last.pt is damaged: the content of {newest}/__1_0.distcp does not match its digest\n" in text
    assert "resume   after step 9, in epoch 2\n" in text


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def with_a_command(metadata: Any) -> None:
    metadata.planner_data = Evil()


def with_another_file(metadata: Any) -> None:
    index, place = next(iter(metadata.storage_data.items()))
    metadata.storage_data[index] = replace(place, relative_path="../../secret")


def with_bytes(metadata: Any) -> None:
    metadata.state_dict_metadata["model.linear1.weight"] = BytesStorageMetadata()


FORGED = {
    "is refused: it asks for (posix|os)\\.mkdir": with_a_command,
    "leads to \\.\\./\\.\\./secret, which is not its own": with_another_file,
    "is refused: it asks for .*BytesStorageMetadata": with_bytes,
}


@pytest.mark.parametrize("told", FORGED)
def test_nothing_comes_out_of_a_checkpoint_but_tensors_of_its_own_files(
    new_run: NewRun, tmp_path: Path, told: str
) -> None:
    run = new_run(*FSDP, "epochs=1")
    execute(run, 2)
    path = run.checkpoints / "last.pt"
    state = torch.load(path, weights_only=True)
    folder = run.checkpoints / state["shards"]["folder"]
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    FORGED[told](metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    state["shards"]["files"] = digests(folder, list(state["shards"]["files"]))  # as whoever made it would
    write_checkpoint(path, state)
    with pytest.raises(DamagedCheckpointError, match=told):
        read_checkpoint(path)
    assert not (tmp_path / "evil").exists()


def test_a_block_has_an_eighth_of_the_weights_at_most_where_its_layers_allow_it() -> None:
    layer = lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))  # noqa: E731
    model = nn.Sequential(nn.Linear(8, 1000), nn.ModuleList([layer() for _ in range(3)]), nn.Linear(1000, 2))
    found = blocks(model)
    assert found == [model[0], *model[1], model[2]]


def test_weights_that_two_blocks_share_are_left_to_the_whole_model() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    assert blocks(model) == [model[1]]
