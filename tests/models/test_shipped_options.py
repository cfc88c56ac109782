"""What ``conf/model``, ``conf/init`` and ``conf/loss`` offer."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn

from runner.build import build
from runner.models.initialise import METHODS, initialise

pytestmark = pytest.mark.usefixtures("hydra_restore_singletons")

CONF = Path(__file__).parents[2] / "conf"
DATA_AND_TASK = {"data": {"channels": 3, "image_size": [13, 20], "num_features": 7}, "task": {"outputs": 5}}


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem != "base")


def composed(group, option):
    """An option with the files of its own group that it builds on, as plain values."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose(f"{group}/{option}"))[group]


def model_node(option):
    """A model as chosen for ``DATA_AND_TASK``; its defaults list, which concerns other groups, is left out."""
    node = OmegaConf.load(CONF / "model" / f"{option}.yaml")
    node.pop("defaults", None)
    return OmegaConf.to_container(OmegaConf.create({**DATA_AND_TASK, "model": node}), resolve=True)["model"]


def test_the_options_are_these():
    assert options("model") == [
        "convnet",
        "convnet1d",
        "lenet",
        "mlp",
        "multiscale",
        "sequential",
        "torchvision",
        "two_input_convnet",
        "unet",
    ]
    assert options("loss") == sorted(
        ["bce", "binary_focal", "cross_entropy", "dice", "dice_cross_entropy", "focal", "huber", "l1", "mse", "nll"]
    )
    assert options("init") == sorted(["default", *METHODS])


@pytest.mark.parametrize("option", options("model"))
def test_a_model_follows_the_shapes_of_data_and_task(option):
    inputs = {
        "convnet1d": [torch.rand(2, 3, 13)],
        "two_input_convnet": [torch.rand(2, 3, 13, 20), torch.rand(2, 7)],
    }
    model = build(model_node(option))
    logits = model(*inputs.get(option, [torch.rand(2, 3, 13, 20)]))
    assert logits.shape == ((2, 5, 13, 20) if option == "unet" else (2, 5))


@pytest.mark.parametrize("option", options("init"))
def test_an_initialisation_fills_every_layer_that_it_is_for(option):
    layers = {"linear": nn.Linear(6, 5), "conv": nn.Conv2d(2, 3, 3), "up": nn.ConvTranspose2d(3, 2, 2)}
    model = nn.ModuleDict(layers)
    before = {name: layer.weight.clone() for name, layer in layers.items()}
    initialise(model, composed("init", option) or {})
    changed = [name for name, layer in layers.items() if not torch.equal(layer.weight, before[name])]
    for_some = {"default": [], "eye": ["linear"], "sparse": ["linear"], "dirac": ["conv"]}
    assert changed == for_some.get(option, ["linear", "conv", "up"])
    assert all(layers[name].bias.count_nonzero() == 0 for name in changed)


CLASSES = (torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([1, 1]))
PIXELS = (torch.zeros(2, 2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64))
VALUES = (torch.tensor([[0.0], [3.0]]), torch.tensor([[0.5], [1.0]]))


@pytest.mark.parametrize(
    ("option", "batch", "expected"),
    [
        # Softplus of the difference between the wrong logit and the right one: -2 and 1.
        ("cross_entropy", CLASSES, (0.126928 + 1.313262) / 2),
        ("nll", (torch.log_softmax(CLASSES[0], 1), CLASSES[1]), (0.126928 + 1.313262) / 2),
        ("bce", (torch.tensor([[2.0], [1.0]]), torch.tensor([[1.0], [0.0]])), (0.126928 + 1.313262) / 2),
        ("mse", VALUES, (0.25 + 4) / 2),
        ("l1", VALUES, (0.5 + 2) / 2),
        ("huber", VALUES, (0.125 + 1.5) / 2),
        # Half of each pixel's 16 for a class that is everywhere, and for one that is nowhere.
        ("dice", PIXELS, 1 - ((2 * 8 + 1) / (8 + 16 + 1) + 1 / (8 + 0 + 1)) / 2),
        ("dice_cross_entropy", PIXELS, 1 - (17 / 25 + 1 / 9) / 2 + 0.693147),
    ],
)
def test_a_loss_gives_the_value_computed_by_hand(option, batch, expected):
    assert build(composed("loss", option))(*batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "path",
    sorted(CONF.glob("model/*.yaml")) + sorted(CONF.glob("init/*.yaml")) + sorted(CONF.glob("loss/*.yaml")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_the_first_line_of_an_option_says_what_it_is_for(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")
