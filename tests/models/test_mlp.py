"""The multilayer perceptron."""

import pytest
import torch
from torch import nn

from runner.models.mlp import MLP


def make_mlp(**changes):
    settings = {
        "channels": 1,
        "image_size": (28, 28),
        "outputs": 10,
        "hidden": [512, 512],
        "activation": "relu",
        "output_activation": "identity",
        "dropout": 0.0,
    }
    return MLP(**{**settings, **changes})


def test_one_seed_gives_the_weights_and_outputs_of_the_network_written_by_hand():
    torch.manual_seed(7)
    by_hand = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
        nn.ReLU(),
    )
    torch.manual_seed(7)
    mlp = make_mlp(output_activation="relu")
    pairs = zip(mlp.parameters(), by_hand.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(mlp(images), by_hand(images))


def test_dropout_leaves_the_first_weights_and_their_names_as_they_are():
    torch.manual_seed(0)
    without = make_mlp(hidden=[5]).state_dict()
    torch.manual_seed(0)
    with_dropout = make_mlp(hidden=[5], dropout=0.5).state_dict()
    assert list(with_dropout) == list(without) == ["linear1.weight", "linear1.bias", "output.weight", "output.bias"]
    assert all(torch.equal(with_dropout[name], without[name]) for name in without)


def test_parameters_are_counted_by_hand():
    num_parameters = sum(parameter.numel() for parameter in make_mlp().parameters())
    assert num_parameters == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10 == 669_706


@pytest.mark.parametrize(
    ("channels", "image_size", "sample"),
    [(3, (5, 7), (3, 5, 7)), (1, (1, 1), (1, 1, 1)), (13, None, (13,))],
    ids=["colour image", "one pixel", "features"],
)
def test_samples_of_any_shape_give_one_row_of_logits_each(channels, image_size, sample):
    mlp = make_mlp(channels=channels, image_size=image_size, hidden=[4], outputs=2)
    assert mlp(torch.rand(6, *sample)).shape == (6, 2)


def test_without_hidden_layers_it_is_a_linear_model():
    linear = make_mlp(channels=3, image_size=None, hidden=[], outputs=2)
    with torch.no_grad():
        linear.output.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]))
        linear.output.bias.copy_(torch.tensor([10.0, 20.0]))
    assert linear(torch.tensor([[1.0, 1.0, 2.0]])).tolist() == [[19.0, 20.0]]


def test_dropout_takes_hidden_units_in_training_and_none_in_evaluation():
    mlp = make_mlp(hidden=[5], dropout=1.0)
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(mlp.train()(images), mlp.output.bias.expand(2, 10))
    assert not torch.equal(mlp.eval()(images), mlp.output.bias.expand(2, 10))


def test_the_gradient_reaches_every_parameter():
    mlp = make_mlp(hidden=[6, 5], activation="tanh")
    mlp(torch.rand(4, 1, 28, 28)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in mlp.parameters())
