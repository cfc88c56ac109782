"""LeNet-5."""

import pytest
import torch
from torch.nn import functional as F

from runner.errors import UserError
from runner.models.lenet import LeNet


def make_lenet(**changes):
    settings = {"channels": 1, "image_size": (28, 28), "outputs": 10, "activation": "relu", "pool": "max"}
    return LeNet(**{**settings, **changes})


def test_parameters_for_mnist_are_counted_by_hand():
    convolutions = (1 * 25 + 1) * 6 + (6 * 25 + 1) * 16
    linear = (16 * 5 * 5 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10
    assert sum(parameter.numel() for parameter in make_lenet().parameters()) == convolutions + linear == 61_706


@pytest.mark.parametrize(("pool", "pooled"), [("max", F.max_pool2d), ("average", F.avg_pool2d)])
def test_the_output_is_that_of_the_layers_written_by_hand(pool, pooled):
    lenet = make_lenet(activation="tanh", pool=pool)
    images = torch.rand(3, 1, 28, 28)
    maps = pooled(F.conv2d(images, lenet.conv1.weight, lenet.conv1.bias, padding=2).tanh(), 2)
    maps = pooled(F.conv2d(maps, lenet.conv2.weight, lenet.conv2.bias).tanh(), 2)
    features = F.linear(maps.reshape(3, 400), lenet.linear1.weight, lenet.linear1.bias).tanh()
    features = F.linear(features, lenet.linear2.weight, lenet.linear2.bias).tanh()
    assert torch.equal(lenet(images), F.linear(features, lenet.output.weight, lenet.output.bias))


@pytest.mark.parametrize("image_size", [(12, 12), (13, 30), (32, 32), (65, 17)])
def test_images_of_twelve_pixels_or_more_give_one_row_of_logits_each(image_size):
    assert make_lenet(channels=3, image_size=image_size)(torch.rand(2, 3, *image_size)).shape == (2, 10)


@pytest.mark.parametrize("image_size", [(11, 28), (28, 11), (8, 8)])
def test_smaller_images_are_refused_with_the_mend(image_size):
    with pytest.raises(UserError, match=r"lenet(.|\n)*12 x 12(.|\n)*data\.image_size=\[28,28\]"):
        make_lenet(image_size=image_size)


def test_rows_of_features_are_refused():
    with pytest.raises(UserError, match="lenet takes images"):
        make_lenet(image_size=None)


def test_the_gradient_reaches_every_parameter():
    lenet = make_lenet(activation="tanh")
    lenet(torch.rand(4, 1, 28, 28)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in lenet.parameters())
