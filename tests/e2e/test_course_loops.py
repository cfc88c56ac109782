"""The recipes of a course are what a loop written out in plain PyTorch computes: the same losses from the same seed.

The loops know what the documentation promises: a network is made right after ``torch.manual_seed(seed)``, and the order
of an epoch comes from a generator seeded with ``fold(seed, epoch)``, by torch's own samplers. Augmentation is left out.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image
from terminal import Trained
from test_quickstart import write_idx
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import RandomSampler, WeightedRandomSampler

from runner.config.schema import RunConfig
from runner.data.random import fold
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.loop import train_step
from runner.training.progress import Progress

Train = Callable[..., Trained]
Inputs = tuple[Tensor, ...]

SEED, EPOCHS, BATCH = 5, 2, 6
SMALL = (
    f"seed={SEED}", f"epochs={EPOCHS}", f"data.batch_size={BATCH}", "data.split.test=0", "data.normalize=auto",
    "tracking.tensorboard=false", "device.threads=1", "device.channels_last=false",
)  # fmt: skip


def train_by_hand(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Inputs,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    loss_of: Callable[[nn.Module, Inputs, Tensor], Tensor] = lambda m, x, y: F.cross_entropy(m(*x), y),
    lr_factor: Callable[[float], float] = lambda done: 1.0,
    batch_size: int = BATCH,
) -> list[float]:
    """The mean training loss of each epoch; with weights, samples are drawn by them."""
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: lr_factor(step / (EPOCHS * math.ceil(len(targets) / batch_size)))
    )
    losses = []
    model.train()
    for epoch in range(EPOCHS):
        generator = torch.Generator().manual_seed(fold(SEED, epoch))
        if weights is None:
            order = list(RandomSampler(range(len(targets)), generator=generator))
        else:
            order = list(WeightedRandomSampler(weights.tolist(), len(targets), generator=generator))
        total = 0.0
        for start in range(0, len(order), batch_size):
            ids = order[start : start + batch_size]
            loss = loss_of(model, tuple(values[ids] for values in inputs), targets[ids])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(ids)
        losses.append(total / len(order))
    return losses


def normalised(images: np.ndarray) -> Tensor:
    """Bytes (N, C, H, W), scaled to mean 0 and standard deviation 1 in each channel."""
    whole = torch.from_numpy(images).double()
    mean = (whole.mean((0, 2, 3), keepdim=True) / 255).float()
    std = (whole.std((0, 2, 3), keepdim=True, correction=0) / 255).float()
    return (torch.from_numpy(images).float() / 255 - mean) / std


def assert_losses(run: Trained, expected: Sequence[float]) -> None:
    rows = pd.read_csv(run.path / "metrics.csv")
    assert list(rows["train/loss"].dropna()) == pytest.approx(expected, rel=1e-5)


def cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def double_conv(fan_in: int, fan_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU(),
        nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU(),
    )  # fmt: skip


@pytest.fixture
def pets(tmp_path: Path) -> tuple[np.ndarray, Tensor, Tensor]:
    """20 pictures (20, 3, 32, 32), 5 of them of class 1, with two features each; pets/label.csv names them."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    features = generator.normal(size=(20, 2)).round(3)
    labels = [int(number % 4 == 3) for number in range(20)]
    (tmp_path / "pets").mkdir()
    rows = ["image,label,age,weight"]
    for number, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "pets" / f"{number}.png")
        rows.append(f"{number}.png,{labels[number]},{features[number, 0]},{features[number, 1]}")
    (tmp_path / "pets" / "label.csv").write_text("\n".join(rows) + "\n")
    return images, torch.from_numpy(features.astype(np.float32)), torch.tensor(labels)


def test_cats_and_dogs(train: Train, pets: tuple[np.ndarray, Tensor, Tensor]) -> None:
    images, _, labels = pets
    run = train(
        "experiment=cats_and_dogs", "data.source.csv=pets/label.csv", "data.augment=[]", "data.split.val=0",
        "model.widths=[4,8]", *SMALL,
    )  # fmt: skip
    torch.manual_seed(SEED)
    model = nn.Sequential(
        double_conv(3, 4), nn.MaxPool2d(2), double_conv(4, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    assert_losses(run, train_by_hand(model, optimizer, (normalised(images),), labels, lr_factor=cosine))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(double_conv(3, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.features = nn.Sequential(nn.Linear(2, 32), nn.ReLU())
        self.joined = nn.Sequential(nn.Linear(4 + 32, 128), nn.ReLU(), nn.Linear(128, 2))

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        return self.joined(torch.cat([self.image(image), self.features(features)], dim=1))


def test_two_inputs_with_a_weighted_sampler(train: Train, pets: tuple[np.ndarray, Tensor, Tensor]) -> None:
    images, features, labels = pets
    run = train(
        "experiment=two_inputs", "data.source.csv=pets/label.csv", "data.source.feature_columns=[age,weight]",
        "data.split.val=0", "monitor=train/f1", "model.widths=[4]", *SMALL,
    )  # fmt: skip
    torch.manual_seed(SEED)
    model = TwoInputs()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    weights = 1 / torch.bincount(labels).double()[labels]  # each of the 5 three times as often as each of the 15
    assert_losses(run, train_by_hand(model, optimizer, (normalised(images), features), labels, weights=weights))


class SmallPictureResNet(nn.Module):
    """ResNet-18 as one would rewrite it: its first convolution keeps the size, no pooling follows, a second output."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torchvision.models.resnet18(num_classes=2)
        self.net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.side = nn.Linear(256, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        net = self.net
        third = net.layer3(net.layer2(net.layer1(F.relu(net.bn1(net.conv1(image))))))
        return net.fc(net.layer4(third).mean((2, 3))), self.side(third.mean((2, 3)))


def adapted_resnet_by_hand(images: np.ndarray, labels: Tensor, dtype: torch.dtype, *, fused: bool) -> list[float]:
    """The losses of the recipe, computed in a type of numbers, with torch's AdamW in its fused form or as it comes."""
    torch.manual_seed(SEED)
    model = SmallPictureResNet().to(dtype)
    output = list(model.net.fc.parameters())
    rest = [weight for weight in model.parameters() if not any(weight is one for one in output)]
    groups = [{"params": rest}, {"params": output, "lr": 0.002}]
    optimizer = torch.optim.AdamW(groups, lr=0.001, weight_decay=0.01, fused=fused)

    def loss_of(net: nn.Module, inputs: Inputs, targets: Tensor) -> Tensor:
        main, side = net(*inputs)
        return F.cross_entropy(main, targets) + 0.3 * F.cross_entropy(side, targets)

    inputs = (normalised(images).to(dtype),)
    return train_by_hand(model, optimizer, inputs, labels, loss_of=loss_of, lr_factor=cosine)


ADAPTED = (
    "experiment=adapted_resnet", "data.source.csv=pets/label.csv", "data.augment=[]", "data.split.val=0", *SMALL,
)  # fmt: skip


def test_adapted_resnet(train: Train, pets: tuple[np.ndarray, Tensor, Tensor]) -> None:
    images, _, labels = pets
    assert_losses(train(*ADAPTED), adapted_resnet_by_hand(images, labels, torch.float32, fused=True))


def test_adapted_resnet_differs_from_a_loop_with_adamw_as_it_comes_by_rounding_alone(
    new_run: Callable[..., RunDirectory], pets: tuple[np.ndarray, Tensor, Tensor], tmp_path: Path
) -> None:
    """So many layers amplify what fusing AdamW rounds otherwise, up to 3e-4 in these few steps; not so in float64."""
    images, _, labels = pets
    run = new_run(*ADAPTED)
    parts = assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))
    parts.model.double().register_forward_pre_hook(lambda model, inputs: tuple(values.double() for values in inputs))
    progress, losses = Progress(), []
    for epoch in range(EPOCHS):
        parts.begin_training()
        scores = parts.new_scores(training=True)
        for batch in parts.splits.train.epoch(epoch):
            parts.set_lr(progress.step)
            train_step(parts, [batch], progress, scores)
            progress.step += 1
        losses.append(scores.loss.value())
    by_hand = adapted_resnet_by_hand(images, labels, torch.float64, fused=False)
    assert losses == pytest.approx(by_hand, rel=1e-12)


def test_lenet(train: Train, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    found = {}
    for part, count in (("train", 40), ("t10k", 10)):
        images = torch.randint(0, 256, (count, 28, 28), generator=generator).to(torch.uint8)
        labels = (torch.arange(count) % 10).to(torch.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)
        found[part] = (images, labels.long())
    run = train("experiment=lenet", f"data.source.root={tmp_path}", "data.split.val=0", *SMALL[:3], *SMALL[4:])
    torch.manual_seed(SEED)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    images, labels = found["train"]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    assert_losses(run, train_by_hand(model, optimizer, (normalised(images[:, None].numpy()),), labels))


class SmallUNet(nn.Module):
    """Two levels, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = double_conv(1, 4)
        self.down = nn.ModuleList([double_conv(4, 8), double_conv(8, 16)])
        self.up1, self.join1 = nn.ConvTranspose2d(16, 8, 2, stride=2), double_conv(16, 8)
        self.up2, self.join2 = nn.ConvTranspose2d(8, 4, 2, stride=2), double_conv(8, 4)
        self.output = nn.Conv2d(4, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        full = self.first(image)
        half = self.down[0](F.max_pool2d(full, 2))
        quarter = self.down[1](F.max_pool2d(half, 2))
        half = self.join1(torch.cat([half, self.up1(quarter)], dim=1))
        return self.output(self.join2(torch.cat([full, self.up2(half)], dim=1)))


def test_unet_on_tiles(train: Train, tiny_pictures: Path) -> None:
    run = train(
        "experiment=membrane", "data.source.images=cells/image", "data.source.masks=cells/label", "data.augment=[]",
        "data.source.tile=[16,16]", "data.split.val=0", "monitor=train/dice", "model.width=4", "model.levels=2", *SMALL,
    )  # fmt: skip

    def tiles(folder: str) -> np.ndarray:
        whole = np.stack(
            [np.asarray(Image.open(file)) for file in sorted((tiny_pictures / "cells" / folder).iterdir())]
        )
        return whole.reshape(-1, 2, 16, 2, 16).swapaxes(2, 3).reshape(-1, 16, 16)

    torch.manual_seed(SEED)
    model = SmallUNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    classes = torch.from_numpy((tiles("label") == 255).astype(np.int64))
    assert_losses(
        run, train_by_hand(model, optimizer, (normalised(tiles("image")[:, None]),), classes, lr_factor=cosine)
    )
