"""From a configuration to what a run trains with."""

import gc
import json
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.cli import main
from runner.config.schema import RunConfig
from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble, make_plan
from runner.training.parts import Parts

NewRun = Callable[..., RunDirectory]


@pytest.fixture
def parts_of(new_run: NewRun, tmp_path: Path) -> Callable[..., Parts]:
    """What would be trained with, from what would be typed."""

    def build(*typed: str) -> Parts:
        run = new_run(*typed)
        return assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))

    return build


def weights(parts: Parts) -> list[float]:
    return [value for tensor in parts.model.parameters() for value in tensor.flatten()[:3].tolist()]


def test_the_first_weights_are_those_of_the_seed_alone(parts_of: Callable[..., Parts]) -> None:
    first = weights(parts_of("model.hidden=[8]"))
    assert weights(parts_of("model.hidden=[8]", "data.workers=1", "data.batch_size=7", "epochs=3")) == first
    assert weights(parts_of("model.hidden=[8]", "seed=1")) != first


def test_the_first_weights_are_those_that_the_seed_gives_to_the_same_layers_by_hand(
    parts_of: Callable[..., Parts],
) -> None:
    parts = parts_of("model.hidden=[8]", "seed=3")
    torch.manual_seed(3)
    by_hand = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 10))
    for ours, theirs in zip(parts.model.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_rules_of_ones_own_combine_by_type_and_by_name(parts_of: Callable[..., Parts], tmp_path: Path) -> None:
    (tmp_path / "conf" / "init").mkdir(parents=True)
    (tmp_path / "conf" / "init" / "mine.yaml").write_text(
        "defaults: [constant, _self_]\nall: {weight: {val: 0.5}}\n"
        "head: {layers: [Linear], names: [output], weight: {method: constant, val: 2.0}, bias: -1.0}\n"
    )
    model = parts_of("init=mine", "model.hidden=[8]").model
    found = {name: set(weight.flatten().tolist()) for name, weight in model.named_parameters()}
    assert found == {"linear1.weight": {0.5}, "linear1.bias": {0.0}, "output.weight": {2.0}, "output.bias": {-1.0}}


def test_class_weights_are_the_loss_of_torch_with_a_tensor(parts_of: Callable[..., Parts]) -> None:
    given = [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    parts = parts_of(f"loss.weight={given}".replace(" ", ""))
    outputs, targets = torch.randn(6, 10), torch.tensor([0, 1, 1, 9, 9, 3])
    expected = torch.nn.functional.cross_entropy(outputs, targets, weight=torch.tensor(given))
    assert torch.equal(parts.loss(outputs, targets), expected)


def test_an_epoch_of_windows_counts_the_last_partial_one(parts_of: Callable[..., Parts]) -> None:
    # 1,257 training samples in batches of 200 are 7, in windows of 2 they are 4
    assert parts_of("data.batch_size=200", "training.accumulate=2").steps_per_epoch == 4


def test_max_steps_shortens_the_epochs_that_the_learning_rate_is_planned_for(parts_of: Callable[..., Parts]) -> None:
    parts = parts_of("data.batch_size=200", "max_steps=14", "epochs=10", "scheduler=cosine", "optimizer.lr=1")
    assert parts.epochs == 2.0
    assert parts.set_lr(0) == pytest.approx(1.0)
    assert parts.set_lr(7) == pytest.approx(0.5)


def test_the_first_update_of_a_warm_up_moves_the_weights(parts_of: Callable[..., Parts]) -> None:
    parts = parts_of("data.batch_size=200", "scheduler=cosine", "scheduler.warmup_epochs=2", "optimizer.lr=0.7")
    rates = [parts.set_lr(step) for step in range(14)]  # 7 updates an epoch
    assert rates == pytest.approx([0.7 * (step + 1) / 14 for step in range(14)])


def test_the_rate_can_be_set_once_an_epoch(parts_of: Callable[..., Parts]) -> None:
    typed = ("data.batch_size=200", "optimizer.lr=1", "epochs=4", "training.lr_every=epoch")  # 7 updates an epoch
    halves = parts_of(*typed, "scheduler=exponential", "scheduler.gamma=0.5")
    assert [halves.set_lr(step) for step in (0, 6, 7, 13, 14, 27)] == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.125])
    cosine = parts_of(*typed, "scheduler=cosine")
    assert [cosine.set_lr(step) for step in (0, 6, 14, 20)] == pytest.approx([1, 1, 0.5, 0.5])


def test_a_plateau_is_that_of_the_scores_so_far(parts_of: Callable[..., Parts]) -> None:
    parts = parts_of("optimizer.lr=1", "scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5")
    assert [parts.set_lr(100, history) for history in ([], [0.5], [0.5, 0.4], [0.5, 0.4, 0.3])] == [1, 1, 0.5, 0.25]


OWN: dict[str, str] = {
    "wrong_size": "return torch.zeros(len(images), 3)",
    "no_tensor": "return [1, 2]",
    "raises": "return images @ torch.zeros(5, 5)",
}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("wrong_size", r"an output of shape \(2, 10\) is expected, the model gave \(2, 3\)"),
        ("no_tensor", r"a tensor \(2, 10\) is expected, the model gave a list"),
        ("raises", "the model says: "),
    ],
)
def test_a_model_of_ones_own_that_does_not_fit_is_refused_with_what_it_says(
    kind: str, says: str, parts_of: Callable[..., Parts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{kind}.py").write_text(
        f"import torch\nclass Net(torch.nn.Linear):\n    def forward(self, images):\n        {OWN[kind]}\n"
    )
    (tmp_path / "conf" / "model").mkdir(parents=True)
    node: dict[str, Any] = {"_target_": f"{kind}.Net", "in_features": 1, "out_features": 1}
    (tmp_path / "conf" / "model" / "net.yaml").write_text("\n".join(f"{key}: {value}" for key, value in node.items()))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="model=net cannot work with data=digits") as refusal:
        parts_of("model=net")
    assert refusal.match(says)


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ("model", r"model: torch\.Size gives a Size\n  expected: a model, or a layer of one: a torch\.nn\.Module"),
        ("loss", r"loss: torch\.Size gives a Size\n  expected: a loss: a torch\.nn\.Module"),
        (
            "optimizer",
            r"optimizer: collections\.deque gives a deque\n  expected: an optimizer: a torch\.optim\.Optimizer",
        ),
        ("scheduler", r"scheduler: torch\.Size gives a Size\n  expected: an object that is called with the epochs"),
    ],
)
def test_a_target_that_builds_something_else_is_named(
    group: str, told: str, parts_of: Callable[..., Parts], tmp_path: Path
) -> None:
    (tmp_path / "conf" / group).mkdir(parents=True)
    target = "collections.deque" if group == "optimizer" else "torch.Size"
    (tmp_path / "conf" / group / "other.yaml").write_text(f"_target_: {target}\n")
    with pytest.raises(UserError, match=told):
        parts_of(f"{group}=other")


def test_a_model_without_a_weight_to_train_is_named(
    parts_of: Callable[..., Parts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def forward(self, images):\n        return images.flatten(1)[:, :10]\n"
    )
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "bare.yaml").write_text("_target_: bare.Net\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="model: it has no weight that is trained"):
        parts_of("model=bare")


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data ``own``, a Dataset of 30 samples, of which each third is of the class ``own_data.LOW``."""
    (tmp_path / "own_data.py").write_text(
        "import torch\nLOW = 0\nclass Rows:\n    def __len__(self):\n        return 30\n"
        "    def __getitem__(self, index):\n"
        "        return torch.full((4,), float(index)), [LOW, 1, 2][index % 3]\n"
    )
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "own.yaml").write_text(
        "defaults: [base, override /task@_global_.task: classification, _self_]\n"
        "source: {_target_: own_data.Rows}\n"
        "channels: 4\nimage_size: null\nnum_classes: 3\nnormalize: null\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_data", raising=False)


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_a_class_below_0_is_refused_unless_the_loss_ignores_it(
    parts_of: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    import own_data

    typed = ("data=own", "model.hidden=[4]", f"loss={loss}", "data.split.stratify=false")
    monkeypatch.setattr(own_data, "LOW", -1)
    with pytest.raises(
        UserError, match="sample 0 is of class -1, and 9 more samples below 0\n  expected: classes"
    ) as told:
        parts_of(*typed)
    assert "fix:      loss.ignore_index=-1" in str(told.value)
    parts_of(*typed, "loss.ignore_index=-1")
    monkeypatch.setattr(own_data, "LOW", -100)
    parts_of(*typed)
    capsys.readouterr()
    assert main(["data", "data=own", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["balance"]["1"]["training"] > 0


def test_a_loss_with_weights_of_its_own_is_told_that_they_are_not_trained(
    parts_of: Callable[..., Parts], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "own.yaml").write_text("_target_: torch.nn.PReLU\n")
    parts_of("loss=own", "model.hidden=[4]")
    told = capsys.readouterr().out
    assert "warning: the loss has weights of its own, which are not trained and not saved: weight\n" in told


@pytest.mark.usefixtures("labelled")
def test_classes_that_do_not_begin_with_0_are_told(
    parts_of: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import own_data

    typed = ("data=own", "model.hidden=[4]")
    monkeypatch.setattr(own_data, "LOW", 3)
    with pytest.raises(UserError, match=r"fix:      classes that begin with 0 instead of 1, or data.num_classes=4"):
        parts_of(*typed)
    parts_of(*typed, "data.num_classes=4")
    assert "warning: no sample is of class 0, of 4: they are numbered from 0" in capsys.readouterr().out


def test_the_plan_watches_the_validation_split_or_the_training_split_where_there_is_none(
    new_run: NewRun, parts_of: Callable[..., Parts]
) -> None:
    for typed, metric in ((), "val/accuracy"), (("data.split.val=0",), "train/accuracy"):
        config = RunConfig.model_validate(new_run(*typed).config())
        plan = make_plan(config, parts_of(*typed))
        assert (plan.monitor.metric, plan.monitor.higher) == (metric, True)


@pytest.mark.parametrize(
    ("typed", "fused"),
    [
        ("optimizer=sgd", True),
        ("optimizer=adam", True),
        ("optimizer=adamw", True),
        ("optimizer=adagrad", True),
        ("optimizer=rmsprop", None),
    ],
)
def test_an_optimizer_is_fused_where_torch_can(parts_of: Callable[..., Parts], typed: str, fused: bool | None) -> None:
    parts = parts_of("model.hidden=[8]", "device=cpu", typed)
    assert parts.optimizer.defaults.get("fused") is fused


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["model=lenet"], True),
        (["model=lenet", "device.channels_last=false"], False),
        (["model=mlp"], False),
        (["model=mlp", "device.channels_last=true"], True),
    ],
)
def test_images_lie_channels_last_where_the_model_has_convolutions(
    parts_of: Callable[..., Parts], typed: list[str], expected: bool
) -> None:
    parts = parts_of(*typed)
    assert (parts.splits.prepare.memory_format == torch.channels_last) is expected


def test_parts_are_gone_as_soon_as_nobody_holds_them(parts_of: Callable[..., Parts]) -> None:
    gc.disable()  # what only a collection finds would let loader workers outlive their run
    try:
        parts = parts_of("model.hidden=[8]")
        loader = weakref.ref(parts.splits.train)
        del parts
        assert loader() is None
    finally:
        gc.enable()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("typed", "is_pinned"), [([], True), (["data.pin_memory=false"], False)])
def test_batches_for_a_gpu_lie_in_page_locked_memory(
    parts_of: Callable[..., Parts], typed: list[str], is_pinned: bool, workers: int
) -> None:
    parts = parts_of("device=cuda", f"data.workers={workers}", *typed)
    batch = next(parts.splits.train.epoch(0))
    assert [batch.inputs[0].is_pinned(), batch.targets.is_pinned()] == [is_pinned, is_pinned]
