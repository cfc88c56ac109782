"""What is done so that a GPU gives the same bits every time."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runner.config.compose import Composer
from runner.config.paths import Places
from runner.launch.single import freeze
from runner.losses import DiceLoss, NLLLoss, WeightedSum
from runner.runs.status import Status
from runner.training.deterministic import in_order
from runner.training.divisors import divisor_of
from runner.training.execute import execute
from runner.training.signals import StopRequest

CLASSES = 3
WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


def batch(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, CLASSES, *shape, generator=generator, requires_grad=True)
    return outputs, torch.randint(0, CLASSES, (4, *shape), generator=generator)


@pytest.mark.parametrize("shape", [(), (5, 6)], ids=["classes", "masks"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight": WEIGHTS},
        {"ignore_index": 1},
        {"ignore_index": -100},
        {"weight": WEIGHTS, "ignore_index": 0},
        {"label_smoothing": 0.2},
        {"label_smoothing": 0.2, "weight": WEIGHTS, "ignore_index": 2},
    ],
    ids=str,
)
def test_the_mean_in_order_is_the_mean_of_torch(shape: tuple[int, ...], settings: dict[str, object]) -> None:
    outputs, targets = batch(shape)
    if not shape:
        targets[1] = settings.get("ignore_index", -100)
    expected = nn.CrossEntropyLoss(**settings)(outputs, targets)
    (expected_gradient,) = torch.autograd.grad(expected, outputs)
    loss_fn = in_order(nn.CrossEntropyLoss(**settings), targets)
    loss = loss_fn(outputs, targets)
    (gradient,) = torch.autograd.grad(loss, outputs)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_shares_of_classes_are_averaged_over_the_samples_whatever_the_weights() -> None:
    outputs, targets = batch(())
    shares = torch.rand(4, CLASSES).softmax(1)
    expected = nn.CrossEntropyLoss(WEIGHTS)(outputs, shares)
    torch.testing.assert_close(in_order(nn.CrossEntropyLoss(WEIGHTS), targets)(outputs, shares), expected)


def test_what_several_batches_are_weighed_by_stays_what_it_was() -> None:
    _, targets = batch((5, 6))
    expected = divisor_of(nn.CrossEntropyLoss(WEIGHTS), targets)
    divisor = divisor_of(in_order(nn.CrossEntropyLoss(WEIGHTS), targets), targets)
    assert expected is not None
    assert divisor is not None
    assert divisor(targets) == expected(targets) == WEIGHTS[targets].sum()
    assert divisor_of(in_order(nn.CrossEntropyLoss(), targets), targets) is None


def test_the_terms_of_a_sum_are_taken_in_order_too_and_other_losses_are_left_alone() -> None:
    dice = DiceLoss(smooth=1, include_background=True, ignore_index=-100)
    terms = {"one": {"weight": 0.5, "loss": NLLLoss()}, "two": {"weight": 2.0, "loss": dice}}
    outputs, targets = batch((5, 6))
    outputs = outputs.log_softmax(1)
    expected = 0.5 * NLLLoss()(outputs, targets) + 2 * dice(outputs, targets)
    torch.testing.assert_close(in_order(WeightedSum(terms=terms), targets)(outputs, targets), expected)
    assert in_order(dice, targets) is dice


MODEL = """
from torch import nn

class Putting(nn.Module):
    def __init__(self):
        super().__init__()
        self.output = nn.Linear(64, 10)

    def forward(self, images):
        features = images.flatten(1).clone()
        return self.output(features.put_(features.argmax().view(1), features.max().view(1)))
"""


def test_an_operation_that_has_no_deterministic_form_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "putting.py").write_text(MODEL)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "putting.yaml").write_text(json.dumps({"_target_": "putting.Putting"}))
    places = Places.find(None, tmp_path)
    run = freeze(Composer(places).compose(["model=putting", "device=cpu", "device.deterministic=true"]))
    try:
        assert execute(run, places.trust(everything=True), StopRequest()).exit_code == 1
    finally:
        torch.use_deterministic_algorithms(False)
    error = Status.read(run.status_file).error
    assert error is not None
    first, where, *_ = error.splitlines()
    assert first.startswith("device.deterministic=true, and the model or the loss does what has no deterministic form")
    assert where == "  where:    put_ does not have a deterministic implementation"
    assert "Traceback" not in capsys.readouterr().err
