"""The convolutional network for signals."""

import pytest
import torch
from torch.nn import functional as F

from runner.models.convnet1d import ConvNet1d


def make(**changes):
    settings = {
        **{"outputs": 3, "widths": [4, 6], "kernel_size": 5, "activation": "relu", "batch_norm": False, "dropout": 0.0},
        **changes,
    }
    return ConvNet1d(**settings)


def test_the_output_is_that_of_the_layers_written_by_hand():
    model, rows = make(), torch.rand(2, 9)
    logits = model(rows)
    maps = F.conv1d(rows[:, None], model.conv1.weight, model.conv1.bias, padding=2).relu()
    maps = F.max_pool1d(maps, 2, ceil_mode=True)
    assert maps.shape == (2, 4, 5)
    maps = F.conv1d(maps, model.conv2.weight, model.conv2.bias, padding=2).relu()
    torch.testing.assert_close(logits, F.linear(maps.mean(2), model.output.weight, model.output.bias))


@pytest.mark.parametrize("shape", [(2, 9), (2, 1, 9), (2, 7, 9), (2, 1)])
def test_rows_and_signals_of_any_length_and_number_of_channels_are_taken(shape):
    model = make(batch_norm=True)
    assert model(torch.rand(shape)).shape == (2, 3)
    assert model.conv1.in_channels == (shape[1] if len(shape) == 3 else 1)


def test_an_image_is_read_row_by_row():
    model, images = make(), torch.rand(2, 3, 4, 5)
    assert torch.equal(model(images), model(images.reshape(2, 3, 20)))


def test_the_order_of_a_row_matters():
    model = make()
    rows = torch.rand(1, 9)
    assert not torch.allclose(model(rows), model(rows[:, torch.randperm(9)]))
