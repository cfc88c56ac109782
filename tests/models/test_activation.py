"""Activations by name."""

import math
from typing import get_args

import pytest
import torch

from runner.errors import UserError
from runner.models.activation import ACTIVATIONS, make_activation
from runner.models.choices import ActivationName


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "squareplus": lambda x: (x + math.sqrt(x * x + 4)) / 2,
    "tanh": math.tanh,
    "sigmoid": sigmoid,
    "identity": lambda x: x,
}


def test_every_name_that_a_configuration_may_use_is_in_the_table_and_no_other():
    assert set(ACTIVATIONS) == set(get_args(ActivationName)) == {*FORMULAS, "log_softmax"}


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_is_the_function_of_its_name(name):
    points = [-3.0, -0.5, 0.0, 0.5, 2.0]
    values = make_activation(name)(torch.tensor(points, dtype=torch.float64))
    assert values.tolist() == pytest.approx([FORMULAS[name](x) for x in points], abs=1e-12)


def test_log_softmax_goes_over_the_classes_also_for_maps():
    maps = torch.tensor([0.0, math.log(3.0)]).view(1, 2, 1, 1).expand(1, 2, 4, 5)  # probabilities 1/4 and 3/4
    assert make_activation("log_softmax")(maps)[0, :, 2, 3].tolist() == pytest.approx([math.log(0.25), math.log(0.75)])


def test_an_unknown_activation_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"no activation rellu(.|\n)*nearest: +relu"):
        make_activation("rellu")
