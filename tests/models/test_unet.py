"""U-Net."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from runner.models.unet import UNet


def make_unet(**changes):
    settings = {
        "channels": 1,
        "outputs": 2,
        "width": 3,
        "levels": 2,
        "activation": "relu",
        "batch_norm": True,
        "dropout": 0.0,
    }
    return UNet(**{**settings, **changes})


def count_by_hand(channels, outputs, width, levels):
    def double_conv(fan_in, fan_out):
        return (9 * fan_in + 1) * fan_out + (9 * fan_out + 1) * fan_out

    total = double_conv(channels, width) + (width + 1) * outputs
    for level in range(levels):
        upper, lower = width * 2**level, width * 2 ** (level + 1)
        total += double_conv(upper, lower)  # down
        total += (4 * lower + 1) * upper  # 2 x 2 up-convolution
        total += double_conv(2 * upper, upper)  # up
    return total


def test_parameters_of_the_size_in_the_paper_are_counted_by_hand():
    with torch.device("meta"):
        unet = make_unet(width=64, levels=4, batch_norm=False)
    num_parameters = sum(parameter.numel() for parameter in unet.parameters())
    assert num_parameters == count_by_hand(channels=1, outputs=2, width=64, levels=4) == 31_030_658


def convolve_twice(maps, convs):
    maps = F.conv2d(maps, convs.conv1.weight, convs.conv1.bias, padding=1).clamp(min=0)
    return F.conv2d(maps, convs.conv2.weight, convs.conv2.bias, padding=1).clamp(min=0)


def test_the_output_is_that_of_the_layers_written_by_hand():
    unet = make_unet(channels=2, levels=1, batch_norm=False)
    images = torch.rand(2, 2, 6, 8)
    above = convolve_twice(images, unet.first)
    below = convolve_twice(F.max_pool2d(above, 2), unet.down[0].convs)
    up = F.conv_transpose2d(below, unet.up[0].upsample.weight, unet.up[0].upsample.bias, stride=2)
    joined = convolve_twice(torch.cat([above, up], dim=1), unet.up[0].convs)
    logits = F.conv2d(joined, unet.output.weight, unet.output.bias)
    torch.testing.assert_close(unet(images), logits)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), levels=st.integers(0, 5), channels=st.integers(1, 4))
def test_any_size_levels_and_channels_give_logits_for_every_pixel(height, width, levels, channels):
    unet = make_unet(channels=channels, outputs=5, width=1, levels=levels).eval()
    assert unet(torch.rand(2, channels, height, width)).shape == (2, 5, height, width)


def test_an_odd_size_is_pooled_up_and_cropped_back_at_every_level():
    sizes = []
    unet = make_unet(levels=3)
    for block in [unet.first, *unet.down, *unet.up]:
        block.register_forward_hook(lambda module, inputs, maps: sizes.append(tuple(maps.shape[2:])))
    unet(torch.rand(2, 1, 21, 10))
    assert sizes == [(21, 10), (11, 5), (6, 3), (3, 2), (6, 3), (11, 5), (21, 10)]


def test_every_level_has_twice_the_maps_of_the_one_above():
    unet = make_unet(width=4, levels=3)
    assert [down.convs.conv2.out_channels for down in unet.down] == [8, 16, 32]
    assert [up.convs.conv2.out_channels for up in unet.up] == [16, 8, 4]


def test_dropout_acts_at_the_bottom_in_training_only():
    only_bottom = make_unet(levels=0, dropout=1.0)
    images = torch.rand(2, 1, 4, 4)
    bias = only_bottom.output.bias.view(1, 2, 1, 1).expand(2, 2, 4, 4)
    assert torch.equal(only_bottom.train()(images), bias)
    assert not torch.equal(only_bottom.eval()(images), bias)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_gradient_reaches_every_parameter(batch_norm):
    unet = make_unet(activation="tanh", batch_norm=batch_norm)
    unet(torch.rand(3, 1, 13, 11)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in unet.parameters())
