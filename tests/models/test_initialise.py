"""Drawing the first weights of a model anew."""

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml
from torch import nn

from runner.config.sections.init import Fill
from runner.errors import UserError
from runner.models.choices import LayerType
from runner.models.initialise import LAYERS, METHODS, initialise

# Large enough that the spread of the weights is within 1 % of its expectation: fan_in and fan_out as torch counts them.
LAYERS_WITH_FANS = {
    "Linear": (lambda: nn.Linear(300, 200), 300, 200),
    "Conv1d": (lambda: nn.Conv1d(100, 120, 5), 500, 600),
    "Conv2d": (lambda: nn.Conv2d(60, 80, 3), 540, 720),
    "Conv3d": (lambda: nn.Conv3d(30, 20, (3, 5, 5)), 2250, 1500),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(100, 120, 5), 600, 500),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(60, 80, 3), 720, 540),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(30, 20, (3, 5, 5)), 1500, 2250),
}


def rule(method="constant", layers=tuple(LAYERS), names=("*",), bias=None, **arguments):
    return {"layers": layers, "names": names, "weight": {"method": method, **arguments}, "bias": bias}


def filled(layer, **settings):
    torch.manual_seed(0)
    model = nn.ModuleDict({"layer": layer})
    initialise(model, {"all": rule(**settings)})
    return layer.weight.detach()


def test_every_name_that_a_configuration_may_use_is_known_and_no_other():
    fills = get_args(get_args(Fill)[0])
    assert set(METHODS) == {name for fill in fills for name in get_args(fill.model_fields["method"].annotation)}
    assert set(LAYERS) == set(get_args(LayerType)) == set(LAYERS_WITH_FANS)


@pytest.mark.parametrize("layer", LAYERS_WITH_FANS)
@pytest.mark.parametrize(
    ("method", "arguments", "variance"),
    [
        ("xavier_uniform", {"gain": 2.0}, lambda fan_in, fan_out: 4 * 2 / (fan_in + fan_out)),
        ("xavier_normal", {"gain": 2.0}, lambda fan_in, fan_out: 4 * 2 / (fan_in + fan_out)),
        ("kaiming_uniform", {"nonlinearity": "relu", "mode": "fan_in"}, lambda fan_in, fan_out: 2 / fan_in),
        ("kaiming_normal", {"nonlinearity": "relu", "mode": "fan_out"}, lambda fan_in, fan_out: 2 / fan_out),
        (
            "kaiming_normal",
            {"nonlinearity": "leaky_relu", "a": 0.5, "mode": "fan_in"},
            lambda fan_in, fan_out: 2 / (1 + 0.25) / fan_in,
        ),
    ],
    ids=["xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal fan_out", "kaiming_normal leaky"],
)
def test_methods_that_scale_by_the_fans_have_the_moments_of_their_formula(layer, method, arguments, variance):
    make, fan_in, fan_out = LAYERS_WITH_FANS[layer]
    std = math.sqrt(variance(fan_in, fan_out))
    weight = filled(make(), method=method, **arguments)
    assert weight.mean().item() == pytest.approx(0, abs=0.02 * std)
    assert weight.std().item() == pytest.approx(std, rel=0.02)
    largest = weight.abs().max().item() / std
    if method.endswith("uniform"):
        assert largest == pytest.approx(math.sqrt(3), rel=0.01)  # a uniform distribution ends there
    else:
        assert largest > 3  # and a normal one does not


def test_uniform_fills_its_limits():
    weight = filled(nn.Linear(300, 200), method="uniform", a=-1.0, b=3.0)
    assert weight.min().item() == pytest.approx(-1, abs=0.01)
    assert weight.max().item() == pytest.approx(3, abs=0.01)
    assert weight.mean().item() == pytest.approx(1, abs=0.02)
    assert weight.std().item() == pytest.approx(4 / math.sqrt(12), rel=0.01)


def test_normal_has_its_mean_and_standard_deviation():
    weight = filled(nn.Linear(300, 200), method="normal", mean=2.0, std=0.5)
    assert weight.mean().item() == pytest.approx(2, abs=0.01)
    assert weight.std().item() == pytest.approx(0.5, rel=0.01)


def test_truncated_normal_ends_at_its_limits():
    weight = filled(nn.Linear(300, 200), method="truncated_normal", mean=0.0, std=0.5, a=-1.0, b=1.0)
    density, inside = math.exp(-2) / math.sqrt(2 * math.pi), math.erf(math.sqrt(2))  # at and within two deviations
    assert weight.abs().max().item() == pytest.approx(1, abs=0.01)
    assert weight.abs().max() <= 1
    assert weight.std().item() == pytest.approx(0.5 * math.sqrt(1 - 4 * density / inside), rel=0.01)


def test_constant_is_one_value():
    assert torch.equal(filled(nn.Conv2d(2, 3, 5), method="constant", val=0.25), torch.full((3, 2, 5, 5), 0.25))


@pytest.mark.parametrize(("fan_in", "fan_out"), [(20, 20), (30, 20), (20, 30)])
def test_orthogonal_rows_or_columns_have_the_gain_as_length(fan_in, fan_out):
    weight = filled(nn.Linear(fan_in, fan_out), method="orthogonal", gain=3.0)
    products = weight @ weight.T if fan_out <= fan_in else weight.T @ weight
    torch.testing.assert_close(products, 9 * torch.eye(20), rtol=0, atol=1e-4)


def test_orthogonal_convolutions_are_orthogonal_between_their_outputs():
    weight = filled(nn.Conv2d(4, 8, 3), method="orthogonal", gain=1.0).flatten(1)
    torch.testing.assert_close(weight @ weight.T, torch.eye(8), rtol=0, atol=1e-5)


def test_sparse_leaves_the_same_share_of_every_column():
    weight = filled(nn.Linear(300, 200), method="sparse", sparsity=0.9, std=2.0)
    assert (weight == 0).sum(dim=0).tolist() == [180] * 300
    assert weight[weight != 0].std().item() == pytest.approx(2, rel=0.03)


def test_eye_passes_inputs_on():
    layer = nn.Linear(3, 2)
    initialise(nn.Sequential(layer), {"all": rule("eye", bias=0.0)})
    assert layer(torch.tensor([[5.0, 6.0, 7.0]])).tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize(("groups", "passed_on"), [(1, [0, 1]), (2, [0, 0])])
def test_dirac_passes_channels_on(groups, passed_on):
    layer = nn.Conv2d(2, 2, 3, padding=1)
    initialise(nn.Sequential(layer), {"all": rule("dirac", bias=0.0, groups=groups)})
    images = torch.rand(1, 2, 4, 5)
    assert torch.equal(layer(images), images[:, passed_on])


@pytest.fixture
def small_network():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3), nn.Linear(3, 2, bias=False)
    )


def values(module):
    return {name: set(parameter.flatten().tolist()) for name, parameter in module.named_parameters()}


def test_without_rules_the_weights_stay_as_torch_made_them(small_network):
    before = {name: parameter.clone() for name, parameter in small_network.named_parameters()}
    initialise(small_network, {})
    assert all(torch.equal(parameter, before[name]) for name, parameter in small_network.named_parameters())


def test_a_rule_without_restriction_fills_linear_layers_and_convolutions_and_no_normalisation(small_network):
    initialise(small_network, {"all": rule(val=7.0, bias=5.0)})
    assert values(small_network) == {
        "0.weight": {7.0},
        "0.bias": {5.0},
        "1.weight": {1.0},
        "1.bias": {0.0},
        "3.weight": {7.0},
        "3.bias": {5.0},
        "4.weight": {7.0},
    }


def test_a_rule_goes_by_layer_type_and_by_name_and_the_later_one_decides(small_network):
    rules = {
        "all": rule(val=1.0),
        "linear": rule(val=2.0, layers=["Linear"]),
        "last": rule(val=3.0, names=["nothing", "[4-9]"]),
    }
    initialise(small_network, rules)
    filled_with = values(small_network)
    assert [filled_with[name] for name in ("0.weight", "3.weight", "4.weight")] == [{1.0}, {2.0}, {3.0}]


def test_biases_and_weights_can_be_left_as_they_are(small_network):
    conv, linear = small_network[0], small_network[3]
    conv_bias, linear_weight = conv.bias.clone(), linear.weight.clone()
    weights_only = rule(val=1.0, layers=["Conv2d"], bias=None)
    biases_only = {"layers": ["Linear"], "names": ["3"], "weight": None, "bias": -2.0}
    initialise(small_network, {"weights_only": weights_only, "biases_only": biases_only})
    assert set(conv.weight.flatten().tolist()) == {1.0}
    assert torch.equal(conv.bias, conv_bias)
    assert torch.equal(linear.weight, linear_weight)
    assert linear.bias.tolist() == [-2.0, -2.0, -2.0]


SHIPPED = {
    file.stem: yaml.safe_load(file.read_text())["all"]
    for file in (Path(__file__).parents[2] / "conf" / "init").glob("*.yaml")
    if file.stem not in ("base", "default")
}
FIXED = {"constant", "eye", "dirac"}


def test_every_method_has_an_option() -> None:
    assert SHIPPED.keys() == METHODS.keys()


@pytest.mark.parametrize("method", SHIPPED)
def test_the_seed_decides_the_weights(method):
    settings = SHIPPED[method]["weight"]
    draws = []
    for seed in (0, 0, 1):
        layer = nn.Conv1d(4, 4, 3) if method == "dirac" else nn.Linear(20, 20)
        torch.manual_seed(seed)
        initialise(nn.Sequential(layer), {"all": rule(**settings)})
        draws.append(layer.weight.detach())
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2]) is (method in FIXED)


def test_an_unknown_method_is_refused_with_the_nearest_name(small_network):
    with pytest.raises(UserError, match=r"init\.all\.weight\.method=xavier_norml(.|\n)*nearest: +xavier_normal"):
        initialise(small_network, {"all": rule("xavier_norml")})


def test_an_unknown_setting_of_a_method_is_refused_with_the_nearest(small_network):
    with pytest.raises(
        UserError, match=r"init\.all\.weight: .*'stdd' for method=normal(.|\n)*mean, std(.|\n)*nearest: +std"
    ):
        initialise(small_network, {"all": rule("normal", stdd=1.0)})


def test_a_setting_that_a_method_needs_is_asked_for(small_network):
    with pytest.raises(UserError, match=r"init\.all\.weight: .*'val' for method=constant(.|\n)*expected: +val"):
        initialise(small_network, {"all": rule("constant")})


def test_a_setting_of_the_wrong_type_is_refused(small_network):
    with pytest.raises(UserError, match=r"init\.all\.weight cannot fill 0\.weight"):
        initialise(small_network, {"all": rule("constant", val="much")})


def test_an_unknown_layer_type_is_refused_with_the_nearest_name(small_network):
    with pytest.raises(UserError, match=r"init\.all\.layers=linear(.|\n)*nearest: +Linear"):
        initialise(small_network, {"all": rule(val=0.0, layers=["linear"])})


@pytest.mark.parametrize("restriction", [{"layers": ["Conv3d"]}, {"names": ["encoder.*"]}])
def test_a_rule_that_means_no_layer_is_refused(small_network, restriction):
    with pytest.raises(UserError, match=r"init\.mine means no layer(.|\n)*(Conv3d|encoder)"):
        initialise(small_network, {"mine": rule(val=0.0, **restriction)})


def test_a_rule_that_means_no_layer_is_told_with_the_layers_that_there_are():
    model = nn.ModuleDict({"hidden": nn.Linear(2, 2), "output": nn.Linear(2, 1), "norm": nn.BatchNorm1d(2)})
    with pytest.raises(UserError, match=r"where: +layers of these types: hidden, output\n(.|\n)*nearest: +output"):
        initialise(model, {"mine": rule(val=0.0, names=["outputs"])})


def test_a_method_that_does_not_suit_a_weight_is_refused_with_the_layer(small_network):
    with pytest.raises(
        UserError, match=r"init\.all\.weight cannot fill 0\.weight of shape \(2, 1, 3, 3\)(.|\n)*Conv2d"
    ):
        initialise(small_network, {"all": rule("eye")})
