"""What losses divide by: batches in parts come to the same as the whole, whatever the loss counts in them."""

import copy
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from runner.config.schema import RunConfig
from runner.losses import OF_CLASSES, DiceLoss, FocalLoss, NLLLoss, WeightedSum
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.divisors import divisor_of
from runner.training.loop import evaluate, train_step
from runner.training.parts import Parts
from runner.training.progress import Progress

WEIGHT = torch.tensor([1.0, 5.0, 0.5])
SETTINGS = {"include_background": True, "smooth": 1.0}


class OfOnes(nn.Module):
    """A loss of a user's: the mean logit of what is of class 1."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.movedim(1, -1)[targets == 1].mean()

    def divisor(self, targets: Tensor) -> Tensor:
        return (targets == 1).sum()


LOSSES = {
    "class weights": nn.CrossEntropyLoss(weight=WEIGHT),
    "class weights and smoothing": nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2),
    "ignored": nn.CrossEntropyLoss(ignore_index=0),
    "class weights and ignored": nn.CrossEntropyLoss(weight=WEIGHT, ignore_index=0),
    "nll": NLLLoss(weight=WEIGHT, ignore_index=-100),
    "focal, ignored": FocalLoss(gamma=2.0, weight=WEIGHT, ignore_index=0),
    "focal": FocalLoss(gamma=2.0, weight=WEIGHT, ignore_index=-100),
    "plain": nn.CrossEntropyLoss(),
    "sum of one": WeightedSum(terms={"one": {"weight": 3.0, "loss": nn.CrossEntropyLoss(weight=WEIGHT)}}),
    "own": OfOnes(),
}


@pytest.mark.parametrize("loss_fn", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("shape", [(), (4, 4)], ids=["classes", "masks"])
@settings(deadline=None)
@given(sizes=st.lists(st.integers(3, 7), min_size=1, max_size=4), seed=st.integers(0, 10))
def test_the_loss_of_everything_is_that_of_its_parts_weighed_by_what_they_divide_by(
    loss_fn: nn.Module, shape: tuple[int, ...], sizes: list[int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(sum(sizes), 3, *shape, generator=generator)
    targets = torch.randint(3, (sum(sizes), *shape), generator=generator)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    if not shape and isinstance(loss_fn, OF_CLASSES):  # a mask cannot have what is below 0
        targets[torch.rand(sum(sizes), generator=generator) < 0.3] = loss_fn.ignore_index
    targets[starts] = 1  # something counts in each part
    divisor = divisor_of(loss_fn, targets)
    parts = list(zip(logits.split(sizes), targets.split(sizes), strict=True))
    weights = torch.stack([divisor(t) if divisor else torch.tensor(len(t)) for _, t in parts])
    losses = torch.stack([loss_fn(one, t) for one, t in parts])
    torch.testing.assert_close((losses * weights).sum() / weights.sum(), loss_fn(logits, targets))


def test_shares_of_classes_count_as_samples_whatever_the_weights_of_the_classes() -> None:
    """As torch has it, and mixup gives them."""
    logits, shares = torch.randn(7, 3), torch.rand(7, 3).softmax(1)
    loss_fn = nn.CrossEntropyLoss(weight=WEIGHT)
    divisor = divisor_of(loss_fn, torch.tensor([0, 1, 2]))
    assert divisor is not None
    assert divisor(shares) == 7
    whole = (3 * loss_fn(logits[:3], shares[:3]) + 4 * loss_fn(logits[3:], shares[3:])) / 7
    torch.testing.assert_close(whole, loss_fn(logits, shares))


def test_losses_that_divide_by_their_samples_say_nothing() -> None:
    plain = (nn.MSELoss(), nn.BCEWithLogitsLoss(pos_weight=WEIGHT), DiceLoss(**SETTINGS, ignore_index=0))
    targets = torch.tensor([0, 1, 2])
    assert [divisor_of(loss_fn, targets) for loss_fn in (*plain, nn.CrossEntropyLoss())] == [None] * 4


def test_nothing_is_counted_where_no_target_is_ignored() -> None:
    """A count costs each step of a small network."""
    loss_fn = nn.CrossEntropyLoss(ignore_index=2)
    assert divisor_of(loss_fn, torch.tensor([0, 1])) is None
    assert divisor_of(loss_fn, torch.tensor([0, 1, 2])) is not None
    assert divisor_of(nn.CrossEntropyLoss(), torch.zeros(2, 4, 4, dtype=torch.uint8)) is None


# --- in a run ---------------------------------------------------------------------------------------------------------

TYPED = (
    *("model.hidden=[8]", "optimizer=sgd", "optimizer.lr=0.5", "device=cpu", "tracking.tensorboard=false"),
    *("loss.weight=[1,9,1,1,1,1,1,1,0.2,1]", "data.split.val=100", "data.split.test=0"),
)
CLASS_WEIGHTS = torch.tensor([1, 9, 1, 1, 1, 1, 1, 1, 0.2, 1])


@pytest.fixture
def parts_of(new_run: Callable[..., RunDirectory], tmp_path: Path) -> Callable[..., Parts]:
    def build(*typed: str) -> Parts:
        run = new_run(*TYPED, *typed)
        return assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))

    return build


def test_an_update_of_several_micro_batches_is_that_of_all_their_samples_with_class_weights(
    parts_of: Callable[..., Parts],
) -> None:
    parts = parts_of("data.batch_size=7", "training.accumulate=3")
    window = list(islice(parts.splits.train.epoch(0), 3))
    model = copy.deepcopy(parts.model)
    ready = [parts.splits.prepare(batch, 0, training=True) for batch in window]
    inputs, targets = torch.cat([one for (one,), _ in ready]), torch.cat([targets for _, targets in ready])
    loss = F.cross_entropy(model(inputs), targets, CLASS_WEIGHTS)
    loss.backward()
    scores = parts.new_scores(training=True)
    train_step(parts, window, Progress(), scores)
    assert scores.loss.value() == pytest.approx(loss.item())
    for ours, weight in zip(parts.model.parameters(), model.parameters(), strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(ours, weight - 0.5 * weight.grad)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_a_micro_batch_of_which_nothing_counts_adds_nothing(parts_of: Callable[..., Parts], loss: str) -> None:
    """By itself its loss is 0 divided by 0."""
    gradients, losses = [], []
    for classes in ([3, 1, 2], [1, 2]):
        parts = parts_of(f"loss={loss}", "loss.ignore_index=3", "loss.weight=null", "training.nonfinite=skip")
        scores, window = parts.new_scores(training=True), []
        for number in classes:
            some = parts.splits.train_in_order.some(parts.splits.train.indices[:4])
            window.append(some._replace(targets=torch.full_like(some.targets, number)))
        train_step(parts, window, Progress(), scores)
        gradients.append([weight.grad for weight in parts.model.parameters()])
        losses.append(scores.compute()["loss"])
        assert scores.skipped == 0
    torch.testing.assert_close(*gradients, rtol=0, atol=0)
    assert losses[0] == losses[1]


def test_the_size_of_evaluation_batches_changes_no_loss_with_class_weights(parts_of: Callable[..., Parts]) -> None:
    by_size = {}
    for size in (7, 100):
        parts = parts_of(f"data.eval_batch_size={size}")
        assert parts.splits.val is not None
        by_size[size] = evaluate(parts, parts.splits.val.epoch(0))["loss"]
    (inputs,), targets = parts.splits.prepare(next(iter(parts.splits.val.epoch(0))))
    expected = F.cross_entropy(parts.model(inputs), targets, CLASS_WEIGHTS).item()
    assert by_size == {7: pytest.approx(expected), 100: pytest.approx(expected)}
