"""The models of torchvision, by name."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torchvision import models

from runner.config.compose import Composer
from runner.config.paths import Places
from runner.errors import UserError
from runner.models.choices import SEGMENTATION_NAMES, VISION_NAMES
from runner.models.vision import torchvision_model


def build(name, channels=3, outputs=5, image_size=(64, 64)):
    return torchvision_model(name=name, channels=channels, outputs=outputs, image_size=image_size)


def compose(*typed):
    return Composer(Places.shipped()).compose(typed)


def test_the_names_are_those_of_torchvision():
    assert sorted(VISION_NAMES) == models.list_models(module=models)
    assert sorted(SEGMENTATION_NAMES) == models.list_models(module=models.segmentation)


def test_a_model_is_torchvisions_own_from_the_same_seed():
    torch.manual_seed(1)
    ours = build("resnet18").state_dict()
    torch.manual_seed(1)
    theirs = models.resnet18(weights=None, num_classes=5).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "size"),
    [("squeezenet1_0", 64), ("mobilenet_v3_small", 64), ("vit_b_16", 32), ("inception_v3", 96), ("googlenet", 64)],
)
def test_inputs_and_outputs_are_as_many_as_asked_for_in_training_too(name, size, channels):
    with torch.device("meta"):  # shapes without arithmetic
        model = build(name, channels, image_size=(size, size))
        images = torch.rand(2, channels, size, size)
    assert model(images).shape == model.eval()(images).shape == (2, 5)


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"])
def test_segmentation_models_give_logits_for_every_pixel(name):
    with torch.device("meta"):
        model = build(name, channels=2)
        assert model(torch.rand(2, 2, 64, 48)).shape == (2, 5, 64, 48)


def test_the_first_convolution_made_anew_differs_in_its_channels_alone():
    new, old = build("resnet18", channels=2).conv1, models.resnet18().conv1
    assert new.weight.shape == (64, 2, 7, 7)
    assert (new.stride, new.padding, new.bias) == (old.stride, old.padding, old.bias)


def test_an_impossible_size_is_told_as_such():
    with pytest.raises(UserError, match=r"vit_b_16 cannot be made for images of 30 x 30(.|\n)*data\.image_size"):
        build("vit_b_16", image_size=(30, 30))
    with pytest.raises(UserError, match="must be square"):
        build("vit_b_16", image_size=(32, 48))


def test_a_misspelt_name_is_refused_with_the_nearest_before_anything_is_made():
    with pytest.raises(UserError, match=r"resnet81 is not a model of torchvision(.|\n)*nearest: +resnet18"):
        compose("model=torchvision", "model.name=resnet81")
    with pytest.raises(UserError, match=r"model\.name=resnet18 is no model for task=segmentation"):
        compose("model=torchvision", "data=shapes")
    assert compose("model=torchvision", "data=shapes", "model.name=fcn_resnet50")


def test_composing_it_imports_neither_torch_nor_torchvision():
    script = (
        "import sys; from runner.config.compose import Composer; from runner.config.paths import *;"
        "Composer(Places.shipped()).compose(['model=torchvision', 'data.image_size=[32,32]']);"
        "print(*{'torch', 'torchvision'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_model_is_trained_by_its_gradients():
    model = build("resnet18", channels=1)
    model(torch.rand(2, 1, 32, 32)).square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert isinstance(model, nn.Module)
