"""Weights from elsewhere into a model."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from runner.errors import UserError
from runner.models.loading import load_saved, load_weights


class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
        self.fc = nn.Linear(2, classes)

    def forward(self, rows):
        return self.fc(self.body(rows))


class Compiled(nn.Module):
    """Names as torch.compile makes them: see the test that compares them with its own."""

    def __init__(self, model):
        super().__init__()
        self._orig_mod = model


def averaged(model):
    return AveragedModel(model, use_buffers=True)


WRAPPERS = {
    "bare": lambda model: model,
    "DataParallel": nn.DataParallel,
    "torch.compile": Compiled,
    "EMA": averaged,
    "EMA of a compiled one": lambda model: averaged(Compiled(model)),
    "compiled DDP": lambda model: Compiled(nn.DataParallel(model)),
}


def bare_values(model):
    """The tensors of a model in their order, without the counter of an average."""
    return [value for name, value in model.state_dict().items() if name != "n_averaged"]


@pytest.mark.slow  # imports torch's compiler
def test_the_stand_in_for_a_compiled_model_has_the_names_of_one():
    assert list(Compiled(Net()).state_dict()) == list(torch.compile(Net()).state_dict())


@pytest.mark.parametrize("to", WRAPPERS)
@pytest.mark.parametrize("of", WRAPPERS)
def test_what_a_model_was_wrapped_in_does_not_matter_on_either_side(of, to):
    source, target = WRAPPERS[of](Net()), WRAPPERS[to](Net())
    with torch.no_grad():
        source.state_dict()[next(name for name in source.state_dict() if "running_mean" in name)].fill_(7)
    assert load_weights(target, source.state_dict()) == []
    for theirs, ours in zip(bare_values(source), bare_values(target), strict=True):
        assert torch.equal(theirs, ours)


def test_a_layer_that_is_compiled_by_itself_loads_into_one_that_is_not():
    source = Net()
    source.body = Compiled(source.body)
    target = Net()
    load_weights(target, source.state_dict())
    assert torch.equal(target.body[0].weight, source.body._orig_mod[0].weight)


def test_a_mismatch_lists_all_names_and_copies_nothing():
    weights = Net(classes=5).state_dict()
    weights["head.weight"] = weights.pop("body.0.weight")
    model = Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError) as refusal:
        load_weights(model, weights)
    told = str(refusal.value)
    assert "missing from the file (1): body.0.weight\n" in told
    assert "unexpected in the file (1): head.weight\n" in told
    assert "of another shape (2): fc.weight (5, 2), here (3, 2), fc.bias (5,), here (3,)\n" in told
    assert "model.weights_except=[body.0.*,fc.*,head.*]" in told
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_is_left_out_keeps_its_values_and_is_named():
    source, target = Net(classes=5), Net()
    before = target.fc.weight.clone()
    assert load_weights(target, source.state_dict(), left_out=["fc.*"]) == ["fc.weight", "fc.bias"]
    assert torch.equal(target.fc.weight, before)
    assert torch.equal(target.body[0].weight, source.body[0].weight)


def test_a_pattern_that_means_nothing_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"no weight is called fc\.wieght(.|\n)*nearest: +fc\.weight"):
        load_weights(Net(), Net().state_dict(), left_out=["fc.wieght"])


def test_a_new_layer_is_copied_whole_or_not_at_all():
    source, same, other = Net(classes=5), Net(classes=5), Net()
    assert load_weights(same, source.state_dict(), new_layers=["fc"]) == []
    assert torch.equal(same.fc.bias, source.fc.bias)
    assert load_weights(other, source.state_dict(), new_layers=["fc"]) == ["fc.weight", "fc.bias"]
    other.fc = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    assert len(load_weights(other, source.state_dict(), new_layers=["fc"])) == 4


def test_files_from_before_batch_normalisation_counted_are_whole():
    weights = {name: value for name, value in Net().state_dict().items() if "num_batches" not in name}
    assert load_weights(Net(), weights) == []


def test_half_precision_weights_become_those_of_the_model():
    weights = {name: value.half() for name, value in Net().state_dict().items()}
    model = Net()
    load_weights(model, weights)
    assert model.fc.weight.dtype == torch.float32
    assert torch.equal(model.fc.weight, weights["fc.weight"].float())


def test_a_saved_state_of_another_model_is_told_by_its_names():
    saved = {**Net(classes=5).state_dict(), "extra": torch.zeros(1)}
    del saved["body.0.bias"]
    with pytest.raises(UserError, match="does not fit to the model of the run") as refused:
        load_saved(Net(), saved)
    told = str(refused.value)
    assert "missing from the checkpoint (1): body.0.bias" in told
    assert "unexpected in the checkpoint (1): extra" in told
    assert "of another shape (2): fc.weight (5, 2), here (3, 2), fc.bias (5,), here (3,)" in told
