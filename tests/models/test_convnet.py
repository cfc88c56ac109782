"""The small convolutional network."""

import pytest
import torch
from torch.nn import functional as F

from runner.models.convnet import ConvNet


def make_convnet(**changes):
    settings = {
        "channels": 1,
        "outputs": 10,
        "widths": [4, 6],
        "activation": "relu",
        "batch_norm": True,
        "dropout": 0.0,
    }
    return ConvNet(**{**settings, **changes})


def test_parameters_are_counted_by_hand():
    convolutions = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    normalisations = 2 * 2 * (32 + 64 + 128)
    convnet = make_convnet(channels=3, outputs=2, widths=[32, 64, 128])
    num_parameters = sum(parameter.numel() for parameter in convnet.parameters())
    assert num_parameters == convolutions + normalisations + (128 + 1) * 2


def test_the_output_is_that_of_the_layers_written_by_hand():
    convnet = make_convnet(activation="tanh", batch_norm=False)
    images = torch.rand(3, 1, 8, 10)
    maps = images
    for block in (convnet.block1, convnet.block2):
        if block is convnet.block2:
            maps = F.max_pool2d(maps, 2)
        maps = F.conv2d(maps, block.conv1.weight, block.conv1.bias, padding=1).tanh()
        maps = F.conv2d(maps, block.conv2.weight, block.conv2.bias, padding=1).tanh()
    logits = F.linear(maps.mean(dim=(2, 3)), convnet.output.weight, convnet.output.bias)
    torch.testing.assert_close(convnet(images), logits)


@pytest.mark.parametrize("image_size", [(1, 1), (7, 5), (8, 8), (33, 2), (224, 224)])
def test_images_of_any_size_give_one_row_of_logits_each(image_size):
    convnet = make_convnet(channels=3, widths=[2, 3, 4, 5, 6])
    assert convnet(torch.rand(2, 3, *image_size)).shape == (2, 10)


def test_each_block_but_the_first_works_at_half_the_size():
    sizes = []
    convnet = make_convnet(widths=[2, 2, 2, 2])
    for number in range(1, 5):
        block = convnet.get_submodule(f"block{number}")
        block.register_forward_hook(lambda module, inputs, maps: sizes.append(tuple(maps.shape[2:])))
    convnet(torch.rand(2, 1, 9, 4))
    assert sizes == [(9, 4), (5, 2), (3, 1), (2, 1)]


def test_dropout_takes_averaged_maps_in_training_and_none_in_evaluation():
    convnet = make_convnet(dropout=1.0)
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(convnet.train()(images), convnet.output.bias.expand(2, 10))
    assert not torch.equal(convnet.eval()(images), convnet.output.bias.expand(2, 10))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_gradient_reaches_every_parameter(batch_norm):
    convnet = make_convnet(activation="tanh", batch_norm=batch_norm)
    convnet(torch.rand(4, 1, 8, 8)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in convnet.parameters())
