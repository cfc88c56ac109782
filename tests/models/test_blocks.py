"""The blocks of the convolutional networks."""

import torch
from torch.nn import functional as F

from runner.models.blocks import DoubleConv, Halve


def test_halving_keeps_the_last_row_and_column_of_an_odd_size():
    image = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0], [6.0, 8.0, 7.0]])
    assert Halve()(image[None, None])[0, 0].tolist() == [[4.0, 9.0], [8.0, 7.0]]


def test_halving_one_pixel_leaves_it():
    assert Halve()(torch.full((1, 2, 1, 1), 3.0)).tolist() == [[[[3.0]], [[3.0]]]]


def test_a_double_convolution_normalises_before_each_activation():
    block = DoubleConv(2, 3, activation="relu", batch_norm=True)
    images = torch.rand(4, 2, 5, 6)
    maps = images
    for conv in (block.conv1, block.conv2):
        maps = F.conv2d(maps, conv.weight, padding=1)
        mean, variance = maps.mean((0, 2, 3), keepdim=True), maps.var((0, 2, 3), keepdim=True, unbiased=False)
        maps = ((maps - mean) / torch.sqrt(variance + 1e-5)).clamp(min=0)
    torch.testing.assert_close(block.train()(images), maps, rtol=1e-4, atol=1e-5)


def test_convolutions_have_a_bias_only_where_no_normalisation_would_subtract_it():
    names = {
        batch_norm: [name for name, _ in DoubleConv(1, 1, activation="relu", batch_norm=batch_norm).named_parameters()]
        for batch_norm in (True, False)
    }
    assert names[True] == ["conv1.weight", "norm1.weight", "norm1.bias", "conv2.weight", "norm2.weight", "norm2.bias"]
    assert names[False] == ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"]
