"""The example of a model that owns parameters and buffers in every way there is."""

import pytest
import torch
from torch.nn import functional as F

from runner.models.multiscale import MultiScaleNet


def make(scales=2):
    return MultiScaleNet(channels=2, outputs=3, width=4, scales=scales, activation="tanh", batch_norm=False)


IMAGES = torch.rand(5, 2, 9, 8)


def test_each_scale_counts_by_its_weights_and_the_temperature_divides():
    model = make().eval()
    with torch.no_grad():
        model.log_weights[1].copy_(torch.arange(8) / 8)
        model.log_temperature.fill_(0.5)
        model.image_mean.copy_(torch.tensor([0.25, 0.5]))
    view = IMAGES - torch.tensor([0.25, 0.5]).view(2, 1, 1)
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    small = torch.stack([F.conv2d(view[:, [c]], kernel[None, None], stride=2, padding=1)[:, 0] for c in (0, 1)], 1)
    total = 0
    for block, seen, weights in zip(model.blocks, (view, small), model.log_weights, strict=True):
        maps = block(seen)
        total = total + torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1) * weights.exp()
    expected = F.linear(total, model.output.weight, model.output.bias) / torch.tensor(0.5).exp()
    torch.testing.assert_close(model(IMAGES), expected)


def test_every_parameter_is_trained_and_no_buffer_is():
    model = make()
    model(IMAGES).square().sum().backward()
    names = {name for name, _ in model.named_parameters()}
    assert {"log_temperature", "log_weights.0", "log_weights.1", "blocks.1.conv2.weight"} < names
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert not any(buffer.requires_grad for buffer in model.buffers())


def test_the_running_mean_follows_the_images_in_training_alone():
    model = make()
    model(IMAGES)
    torch.testing.assert_close(model.image_mean, 0.1 * IMAGES.mean((0, 2, 3)))
    model.eval()(IMAGES + 1)
    torch.testing.assert_close(model.image_mean, 0.1 * IMAGES.mean((0, 2, 3)))


def test_what_is_learnt_is_saved_and_restored_and_what_follows_from_the_code_is_not(tmp_path):
    model = make()
    model(IMAGES)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.rand(weight.shape))
    saved = model.state_dict()
    assert {"image_mean", "log_temperature", "log_weights.1"} < set(saved)
    assert "blur" not in saved
    torch.save(saved, tmp_path / "weights.pt")
    other = make()
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other.eval()(IMAGES), model.eval()(IMAGES))


@pytest.mark.parametrize("to", [torch.float64, "meta"])
def test_all_of_it_moves(to):
    model = make().to(to)
    tensors = [*model.parameters(), *model.buffers()]
    assert {str(tensor.device if to == "meta" else tensor.dtype) for tensor in tensors} == {str(to)}
    images = IMAGES.to(to)
    assert model(images).dtype == images.dtype


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (8, 8)])
def test_images_of_any_size_are_taken(size):
    assert make(scales=4)(torch.rand(2, 2, *size)).shape == (2, 3)
