"""A model that is adapted by configuration: what a run trains with, and what it comes to."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from runner.config.schema import RunConfig
from runner.errors import UserError
from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.execute import execute
from runner.training.gradient import Micro
from runner.training.parts import Parts
from runner.training.signals import StopRequest
from runner.trust import Trust

NewRun = Callable[..., RunDirectory]
PartsOf = Callable[..., Parts]

RESNET = ["model=torchvision", "data=digits", "data.split.test=1640", "data.split.val=60"]
FAST = ["tracking.tensorboard=false", "training.test=false", "data.split.val=10", "data.split.test=1750"]
TWO_INPUTS = """
import torch
class Pairs(torch.utils.data.Dataset):
    classes = ["a", "b"]
    def __len__(self):
        return 12
    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return torch.rand(3, 32, 32, generator=generator), torch.rand(5, generator=generator), index % 2
"""
PAIRS = """
defaults: [base, _self_]
source: {_target_: pairs_of_inputs.Pairs}
channels: 3
image_size: [32, 32]
num_classes: 2
"""


@pytest.fixture
def parts_of(new_run: NewRun, tmp_path: Path) -> PartsOf:
    def build(*typed: str) -> Parts:
        run = new_run(*typed)
        return assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))

    return build


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``data=pairs``: samples of an image and a row of five features."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pairs_of_inputs.py").write_text(TWO_INPUTS)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "pairs.yaml").write_text(PAIRS)


def a_batch(parts: Parts) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    return parts.splits.prepare(parts.splits.train_in_order.first(8))


def test_a_layer_is_replaced_by_its_name(parts_of: PartsOf) -> None:
    node = "{_target_: torch.nn.Linear, in_features: 512, out_features: 10, bias: false}"
    parts = parts_of(*RESNET, f"adapt.replace={{fc: {node}}}")
    assert isinstance(parts.model.fc, nn.Linear)
    assert parts.model.fc.bias is None
    inputs, _ = a_batch(parts)
    assert parts.model(*inputs).shape == (8, 10)


@pytest.mark.usefixtures("pairs")
def test_a_second_input_reaches_the_layer_that_is_named(parts_of: PartsOf) -> None:
    parts = parts_of("model=torchvision", "data=pairs", "adapt.inputs={fc: 2}", "data.split.val=2", "data.split.test=2")
    (images, features), _ = a_batch(parts)
    assert parts.model.fc.weight.shape == (2, 517)  # type: ignore[union-attr]
    assert not torch.allclose(parts.model(images, features), parts.model(images, features + 1))


def test_the_loss_is_the_main_one_and_the_auxiliary_ones_by_their_weights(parts_of: PartsOf) -> None:
    parts = parts_of(*RESNET, "adapt.outputs={layer1: {weight: 0.3}, layer2: {weight: 0.5}}")
    inputs, targets = a_batch(parts)
    parts.begin_training()
    loss, main, _ = parts.gradient.add(Micro(tuple(inputs), targets, 1.0, is_last=True))
    outputs = parts.model(*inputs)  # batch normalisation takes the same batch's statistics again
    assert torch.allclose(main, outputs[0], atol=1e-5)
    expected = [F.cross_entropy(output, targets) for output in outputs]
    torch.testing.assert_close(loss, expected[0] + 0.3 * expected[1] + 0.5 * expected[2], rtol=1e-4, atol=1e-4)
    parts.evaluated.eval()
    assert isinstance(parts.evaluate(*inputs), torch.Tensor)


DEEP = """
from torch import nn
class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.early = nn.Linear(64, 8), nn.Linear(8, 10), nn.Linear(8, 10)
    def forward(self, images):
        features = self.first(images.flatten(1)).relu()
        main = self.second(features)
        return (main, self.early(features)) if self.training else main
"""


def test_a_models_own_auxiliary_outputs_count_by_their_weights(
    parts_of: PartsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "deep_net.py").write_text(DEEP)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "deep.yaml").write_text("_target_: deep_net.Deep")
    parts = parts_of("model=deep", "adapt.output_weights=[0.25]", "adapt.outputs={first: {weight: 0.5}}")
    inputs, targets = a_batch(parts)
    parts.begin_training()
    main, early, first = parts.model(*inputs)
    expected = F.cross_entropy(main, targets) + 0.25 * F.cross_entropy(early, targets)
    loss, outputs, _ = parts.gradient.add(Micro(tuple(inputs), targets, 1.0, is_last=True))
    torch.testing.assert_close(loss, expected + 0.5 * F.cross_entropy(first, targets))
    assert torch.equal(outputs, main)
    without = parts_of("model=deep")
    without.begin_training()
    with pytest.raises(UserError, match=r"gives 1 auxiliary outputs in training(.|\n)*adapt\.output_weights=\[0\.3\]"):
        without.gradient.add(Micro(tuple(inputs), targets, 1.0, is_last=True))


def test_a_head_of_ones_own_may_be_named(parts_of: PartsOf) -> None:
    head = "{_target_: torch.nn.Sequential, _args_: []}"
    with pytest.raises(UserError):
        parts_of(*RESNET, f"adapt.outputs={{layer1: {{weight: 0.3, head: {head}}}}}")
    with pytest.raises(UserError, match=r"an output of shape \(2, 10\) is expected"):
        parts_of(*RESNET, "adapt.outputs={layer1: {weight: 0.3, head: {_target_: torch.nn.Flatten}}}")


def test_an_auxiliary_output_for_masks_has_their_size(parts_of: PartsOf) -> None:
    small = ["data.source.count=20", "data.image_size=[16,16]", "model.width=2", "model.levels=2"]
    parts = parts_of("model=unet", *small, "adapt.outputs={up.0: {weight: 0.5}}")
    inputs, _ = a_batch(parts)
    parts.begin_training()
    assert [tuple(output.shape[1:]) for output in parts.model(*inputs)] == [(2, 16, 16), (2, 16, 16)]


def test_frozen_weights_are_not_in_the_optimizer(parts_of: PartsOf) -> None:
    parts = parts_of(*RESNET, "adapt.freeze=[conv1.*,bn1.*,layer*]")
    held = [id(weight) for group in parts.optimizer.param_groups for weight in group["params"]]
    assert held == [id(weight) for weight in parts.model.fc.parameters()]  # type: ignore[union-attr]


def test_factors_make_groups_whose_rates_follow_the_schedule(parts_of: PartsOf) -> None:
    parts = parts_of(
        *RESNET, "adapt.lr_factors={layer4.*: 0.1, fc.*: 2}", "optimizer.lr=0.5", "scheduler=step", "scheduler.epochs=1"
    )
    names = {weight: name for name, weight in parts.model.named_parameters()}
    rates = {names[weight]: group["lr"] for group in parts.optimizer.param_groups for weight in group["params"]}
    assert len(rates) == len(names)
    assert (rates["conv1.weight"], rates["layer4.0.bn1.bias"], rates["fc.bias"]) == pytest.approx((0.5, 0.05, 1.0))
    assert parts.set_lr(0) == 0.5
    assert parts.set_lr(parts.steps_per_epoch) == pytest.approx(0.05)
    assert [group["lr"] for group in parts.optimizer.param_groups] == pytest.approx([0.05, 0.005, 0.1])


def test_factors_keep_apart_what_is_spared_weight_decay(parts_of: PartsOf) -> None:
    parts = parts_of(
        *(*RESNET, "optimizer=adamw", "optimizer.weight_decay=0.2", "adapt.lr_factors={fc.*: 2}"),
        "regularization.norms_and_biases=false",
    )
    found = {(group["lr"] / 0.001, group["weight_decay"]) for group in parts.optimizer.param_groups}
    assert found == {(1.0, 0.2), (1.0, 0.0), (2.0, 0.2), (2.0, 0.0)}


@pytest.mark.parametrize("option", [[], ["regularization.ema.decay=0.5"]])
def test_frozen_layers_come_out_of_training_as_they_went_in(
    new_run: NewRun, parts_of: PartsOf, option: list[str]
) -> None:
    typed = [*RESNET, "adapt.freeze=[conv1.*,bn1.*,layer1.*]", "epochs=1", *FAST, *option]
    before = {name: value.clone() for name, value in parts_of(*typed).model.state_dict().items()}
    run = new_run(*typed)
    assert execute(run, Trust((), everything=True), StopRequest()).exit_code == 0
    state = read_checkpoint(run.checkpoints / "last.pt")
    after = state["model"]
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith(("conv1", "bn1", "layer1"))}
    for name in same if option else ():
        torch.testing.assert_close(state["averaged"][f"module.{name}"], before[name])


def test_weights_from_a_file_need_not_have_what_is_new(new_run: NewRun, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    source = resnet18(num_classes=1000).state_dict()
    source = {name: value for name, value in source.items() if name != "conv1.weight"}
    torch.save(source, tmp_path / "imagenet.pt")
    run = new_run(
        *(*RESNET, "model.weights=imagenet.pt", "model.weights_except=[conv1.*]", *FAST),
        *("optimizer=sgd", "optimizer.lr=1e-30", "epochs=1", "adapt.outputs={layer1: {weight: 0.3}}"),
        "adapt.replace={fc: {_target_: torch.nn.Linear, in_features: 512, out_features: 10}}",
    )
    assert execute(run, Trust((), everything=True), StopRequest()).exit_code == 0
    assert "not from it: conv1.weight, fc.weight, fc.bias, auxiliary.layer1.output.weight" in run.log_file.read_text()
    trained = read_checkpoint(run.checkpoints / "last.pt")["model"]
    assert torch.equal(trained["layer3.0.conv1.weight"], source["layer3.0.conv1.weight"])
