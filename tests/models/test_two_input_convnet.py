"""The network for an image and a row of features."""

import torch

from runner.models.two_input_convnet import TwoInputConvNet


def make():
    return TwoInputConvNet(
        channels=3,
        outputs=2,
        widths=[4, 6],
        features=8,
        feature_width=5,
        hidden=7,
        activation="tanh",
        batch_norm=True,
        dropout=0.0,
    )


IMAGES, FEATURES = torch.rand(2, 3, 9, 9), torch.rand(2, 8)


def test_the_hidden_layer_sees_the_averages_of_the_image_and_then_the_features():
    model = make().eval()
    logits = model(IMAGES, FEATURES)
    pixels = IMAGES
    for name in ("block1", "pool1", "block2"):
        pixels = getattr(model.image, name)(pixels)
    layer = model.features[0]
    units = (FEATURES @ layer.weight.T + layer.bias).tanh()
    both = torch.cat([pixels.mean((2, 3)), units], dim=1)
    assert both.shape == (2, 6 + 5)
    hidden = (both @ model.joined[0].weight.T + model.joined[0].bias).tanh()
    torch.testing.assert_close(logits, hidden @ model.output.weight.T + model.output.bias)


def test_the_gradient_reaches_every_weight_and_both_inputs():
    model = make()
    images, features = IMAGES.clone().requires_grad_(), FEATURES.clone().requires_grad_()
    model(images, features).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert features.grad.abs().min() > 0
    assert images.grad.abs().sum() > 0
