"""Changing a model from outside, proven on torchvision's ResNet-18."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from runner.errors import UserError
from runner.models.adapt.heads import PixelHead, PooledHead
from runner.models.adapt.inputs import add_input
from runner.models.adapt.outputs import add_outputs, outputs_of
from runner.models.adapt.weights import freeze, lr_factors

IMAGES = torch.rand(2, 3, 32, 32)
FEATURES = torch.rand(2, 5)


@pytest.fixture
def resnet():
    return resnet18(num_classes=4).eval()


def features_of(resnet, images):
    """What reaches fc, by another copy of the network without it."""
    headless = copy.deepcopy(resnet)
    headless.fc = nn.Identity()
    for hooks in (headless._forward_hooks, headless._forward_pre_hooks):
        hooks.clear()
    return headless(images)


def with_gradient(model):
    return {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}


class TestInputs:
    """An input of the sample that reaches one layer."""

    def test_a_linear_layer_sees_it_behind_its_own_features(self, resnet):
        add_input(resnet, "fc", 1, [IMAGES, FEATURES], widen=True)
        assert resnet.fc.weight.shape == (4, 512 + 5)
        expected = nn.functional.linear(
            torch.cat([features_of(resnet, IMAGES), FEATURES], 1), resnet.fc.weight, resnet.fc.bias
        )
        torch.testing.assert_close(resnet(IMAGES, FEATURES), expected)

    def test_a_convolution_sees_it_at_every_place(self, resnet):
        given = []
        add_input(resnet, "layer2.0.conv1", 1, [IMAGES, FEATURES], widen=True)
        new = resnet.layer2[0].conv1
        assert (new.weight.shape, new.stride, new.bias) == ((128, 64 + 5, 3, 3), (2, 2), None)
        new.register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0]))
        resnet(IMAGES, FEATURES)
        assert given[0].shape == (2, 69, 8, 8)
        assert (given[0][:, 64:] == FEATURES[:, :, None, None]).all()

    def test_the_gradient_reaches_it(self, resnet):
        add_input(resnet, "fc", 1, [IMAGES, FEATURES], widen=True)
        features = FEATURES.clone().requires_grad_()
        resnet(IMAGES, features).square().sum().backward()
        assert features.grad.abs().min() > 0
        assert "conv1.weight" in with_gradient(resnet)

    def test_the_names_of_the_weights_are_those_of_the_model(self, resnet):
        before = list(resnet.state_dict())
        add_input(resnet, "fc", 1, [IMAGES, FEATURES], widen=True)
        assert list(resnet.state_dict()) == before

    def test_two_inputs_reach_two_layers(self, resnet):
        other = torch.rand(2, 3)
        samples = [IMAGES, FEATURES, other]
        add_input(resnet, "fc", 1, samples, widen=True)
        add_input(resnet, "layer4.0.conv1", 2, samples, widen=True)
        out = resnet(*samples)
        assert not torch.allclose(out, resnet(IMAGES, FEATURES + 1, other))
        assert not torch.allclose(out, resnet(IMAGES, FEATURES, other + 1))

    def test_a_copy_of_the_model_does_not_touch_the_original(self, resnet):
        add_input(resnet, "fc", 1, [IMAGES, FEATURES], widen=True)
        expected = resnet(IMAGES, FEATURES)
        copied = copy.deepcopy(resnet)
        with torch.no_grad():
            copied.fc.weight.zero_()
        copied(IMAGES, FEATURES + 1)
        assert torch.equal(resnet(IMAGES, FEATURES), expected)
        assert torch.equal(copied(IMAGES, FEATURES), copied.fc.bias.expand(2, 4))

    def test_what_cannot_be_done_is_refused(self, resnet):
        with pytest.raises(UserError, match=r"no layer fd(.|\n)*nearest: +fc"):
            add_input(resnet, "fd", 1, [IMAGES, FEATURES], widen=True)
        with pytest.raises(UserError, match=r"adapt\.inputs\.fc=2: a sample has 1 input\n"):
            add_input(resnet, "fc", 1, [IMAGES], widen=True)
        with pytest.raises(UserError, match=r"a BatchNorm2d cannot be made to take 5 values more"):
            add_input(resnet, "bn1", 1, [IMAGES, FEATURES], widen=True)


class TestOutputs:
    """Intermediate outputs with heads of their own."""

    def supervised(self, resnet):
        add_outputs(resnet, {"layer1": PooledHead(64, 4), "layer2.0": PooledHead(128, 4)})
        return resnet

    def test_in_training_the_heads_outputs_follow_the_models_own(self, resnet):
        model = self.supervised(resnet)
        features = outputs_of(model, ["layer1", "layer2.0"], [IMAGES])
        main = model(IMAGES)
        model.train()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()  # so that both passes compute the same
        outputs = model(IMAGES)
        assert isinstance(outputs, tuple)
        assert torch.equal(outputs[0], main)
        for output, (name, maps) in zip(outputs[1:], features.items(), strict=True):
            head = model.auxiliary[name.replace(".", "_")].output
            torch.testing.assert_close(output, maps.mean((2, 3)) @ head.weight.T + head.bias)

    def test_in_evaluation_there_is_one_output_and_no_head_computes_anything(self, resnet):
        expected = resnet(IMAGES)
        model = self.supervised(resnet)
        called = []
        for head in model.auxiliary.values():
            head.register_forward_hook(lambda *_: called.append(1))
        model.eval()
        assert torch.equal(model(IMAGES), expected)
        assert called == []
        model.train()(IMAGES)
        assert called == [1, 1]

    def test_the_gradient_of_an_auxiliary_loss_ends_at_its_layer(self, resnet):
        model = self.supervised(resnet).train()
        model(IMAGES)[1].square().sum().backward()
        reached = {name.partition(".")[0] for name in with_gradient(model)}
        assert reached == {"conv1", "bn1", "layer1", "auxiliary"}
        assert not any(name.startswith("auxiliary.layer2") for name in with_gradient(model))

    def test_nothing_of_a_pass_is_kept(self, resnet):
        model = self.supervised(resnet).train()
        model(IMAGES)
        model.eval()(IMAGES)
        held = [hook.supervising.noted for hook in model.layer1._forward_hooks.values()]
        assert held == [{}]

    def test_a_copy_has_heads_of_its_own(self, resnet):
        model = self.supervised(resnet).train()
        copied = copy.deepcopy(model)
        with torch.no_grad():
            for weight in copied.auxiliary.parameters():
                weight.zero_()
        assert not copied(IMAGES)[1].any()
        assert model(IMAGES)[1].any()

    def test_a_sequential_model_computes_what_it_did(self):
        model = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 4))
        expected = model(FEATURES)
        add_outputs(model, {"1": PooledHead(3, 2)})
        main, auxiliary = model(FEATURES)
        assert torch.equal(main, expected)
        assert auxiliary.shape == (2, 2)

    def test_masks_are_led_to_at_their_own_size(self):
        assert PixelHead(6, 3, (17, 20))(torch.rand(2, 6, 5, 5)).shape == (2, 3, 17, 20)

    def test_layers_that_give_nothing_are_refused(self, resnet):
        resnet.spare = nn.Linear(3, 3)
        with pytest.raises(UserError, match=r"adapt\.outputs\.spare: .* nothing: the model does not call it"):
            outputs_of(resnet, ["spare"], [IMAGES])
        with pytest.raises(UserError, match=r"no layer layer5(.|\n)*nearest: +layer"):
            outputs_of(resnet, ["layer5"], [IMAGES])


class TestFreezing:
    """Weights that are not trained."""

    def test_frozen_weights_get_no_gradient_and_all_others_do(self, resnet):
        freeze(resnet, ["conv1.*", "bn1.*", "layer[123].*"])
        resnet.train()(IMAGES).square().sum().backward()
        expected = {name for name, _ in resnet.named_parameters() if name.startswith(("layer4", "fc"))}
        assert {name for name, weight in resnet.named_parameters() if weight.grad is not None} == expected

    def test_batch_normalisation_that_is_frozen_whole_is_to_be_held(self, resnet):
        held = freeze(resnet, ["bn1.*", "layer1.0.*", "layer1.1.bn1.weight"])
        assert held == [resnet.bn1, resnet.layer1[0].bn1, resnet.layer1[0].bn2]

    def test_normalisation_without_weights_is_held_where_its_weight_would_be_meant(self):
        model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False), nn.Linear(2, 2))
        assert freeze(model, ["[01].*"]) == [model[1]]
        assert freeze(model, ["0.*"]) == []

    def test_patterns_that_mean_nothing_or_everything_are_refused(self, resnet):
        with pytest.raises(UserError, match=r"no weight is called layre1\.\*(.|\n)*nearest: +layer1\.\*"):
            freeze(resnet, ["layre1.*"])
        with pytest.raises(UserError, match="leaves nothing to train"):
            freeze(resnet, ["*"])


def test_of_two_patterns_for_one_weight_the_later_decides(resnet):
    factors = lr_factors(resnet, {"layer4.*": 0.5, "*.bn1.weight": 0.1})
    by_name = {name: factors.get(weight) for name, weight in resnet.named_parameters()}
    assert by_name["layer4.0.conv1.weight"] == 0.5
    assert by_name["layer4.0.bn1.weight"] == by_name["layer1.0.bn1.weight"] == 0.1
    assert by_name["fc.weight"] is None
