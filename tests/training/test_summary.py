"""``runner summary``: what a model is made of, counted."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from runner.cli import main
from runner.config.paths import shipped_conf
from runner.config.schema import RunConfig
from runner.models.lenet import LeNet
from runner.models.unet import Up
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.summary import layers_of, memory_of, summarise

Summary = Callable[..., str]


@pytest.fixture
def summary(new_run: Callable[..., RunDirectory]) -> Summary:
    """The table of what would be typed."""

    def make(*typed: str) -> str:
        run = new_run("data.split.test=1640", "data.split.val=60", *typed)
        return summarise(run.config(), run.choices())

    return make


def test_the_multiply_adds_of_lenet_are_those_counted_by_hand() -> None:
    lenet = LeNet(channels=1, image_size=(28, 28), outputs=10, activation="relu", pool="max")
    layers = {layer.name: layer for layer in layers_of(lenet, [torch.rand(2, 1, 28, 28)])}
    by_hand = {
        "conv1": 28 * 28 * 6 * 25,
        "conv2": 10 * 10 * 16 * 6 * 25,
        "linear1": 400 * 120,
        "linear2": 120 * 84,
        "output": 84 * 10,
    }
    assert {name: layer.multiply_adds for name, layer in layers.items() if layer.multiply_adds and name} == by_hand
    assert layers[""].multiply_adds == sum(by_hand.values()) == 416_520
    assert layers["pool2"].outputs == ((16, 5, 5),)
    assert (layers[""].parameters, layers["conv2"].parameters) == (61_706, (6 * 25 + 1) * 16)


def test_those_of_a_step_up_in_a_unet_too() -> None:
    up = Up(8, 4, activation="relu", batch_norm=True)
    layers = {layer.name: layer for layer in layers_of(up, [torch.rand(1, 8, 5, 6), torch.rand(1, 4, 10, 12)])}
    pixels = 10 * 12
    # Each of the 5 x 6 places below gives 2 x 2 pixels of each of 4 maps from 8 values.
    assert layers["upsample"].multiply_adds == 5 * 6 * 8 * 4 * 2 * 2
    assert layers["convs"].multiply_adds == pixels * 9 * (8 * 4 + 4 * 4)
    assert layers[""].multiply_adds == layers["upsample"].multiply_adds + layers["convs"].multiply_adds


def test_what_is_computed_outside_of_layers_counts_for_the_model() -> None:
    class Attending(nn.Module):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:  # (N, T, D)
            return (rows @ rows.transpose(1, 2)) @ rows

    assert layers_of(Attending(), [torch.rand(2, 5, 3)])[0].multiply_adds == 2 * 5 * 5 * 3


def test_the_memory_of_a_linear_model_is_counted_by_hand(new_run: Callable[..., RunDirectory], tmp_path: Path) -> None:
    run = new_run("model.hidden=[16]", "regularization.ema.decay=0.9", "data.batch_size=32", "device=cpu")
    parts = assemble(RunConfig.model_validate(run.config()), run.choices(), Console(log_file=tmp_path / "log"))
    found = memory_of(parts, parts.sample_inputs(), 32)
    weights = 4 * (64 * 16 + 16 + 16 * 10 + 10)
    assert found["weights"] == found["gradients"] == weights
    assert found["averaged weights"] == weights + 8  # and how many were averaged
    assert found["state of the optimizer"] == 2 * weights + 4 * 4  # Adam: two moments, and a count for each tensor
    # The relu's output; the pixels are the batch itself.
    assert found["kept for the backward pass, 32 samples"] == 32 * 16 * 4
    assert found["total"] == sum(found.values()) - found["total"]


SMALL_UNET = ("data.source.count=12", "data.split.test=2", "data.split.val=2")
PETS = ("data=csv_images", "data.source.csv=pets/label.csv", "data.split.test=2", "data.split.val=2")
OPTIONS = [file.stem for file in sorted(shipped_conf().glob("model/*.yaml")) if file.stem != "base"]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_model_can_be_summarised(option: str, summary: Summary, tiny_pictures: Path) -> None:
    needs = {"unet": SMALL_UNET, "two_input_convnet": (*PETS, "data.source.feature_columns=[age,weight]")}
    text = summary(f"model={option}", *needs.get(option, ()))
    for word in ("layer ", "parameters  ", "multiply-adds  ", "kept for the backward pass", "total"):
        assert word in text


def test_a_second_input_reaches_its_layers(summary: Summary, tiny_pictures: Path) -> None:
    text = summary(*PETS, "model=two_input_convnet", "model.widths=[4]", "data.source.feature_columns=[age,weight]")
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["image.block1.conv1"] == ["image.block1.conv1", "Conv2d", "4x16x16", "108", f"{16 * 16 * 4 * 27:,}"]
    assert lines["features.0"] == ["features.0", "Linear", "32", "96", "64"]
    assert lines["joined.0"] == ["joined.0", "Linear", "128", f"{(36 + 1) * 128:,}", f"{36 * 128:,}"]


def test_what_adapt_does_shows(summary: Summary) -> None:
    text = summary(
        "model=convnet", "model.widths=[4]", "adapt.freeze=[block1.conv1.*]", "adapt.outputs={block1: {weight: 1}}"
    )
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["block1.conv1"] == ["block1.conv1", "Conv2d", "4x8x8", "36", "frozen", f"{64 * 9 * 4:,}"]
    assert lines["auxiliary.block1.output"] == ["auxiliary.block1.output", "Linear", "-", "50", "-"]
    assert "36 of them frozen" in text


def test_the_table_reads_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["summary", "model=sequential", "data.batch_size=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:10] == [
        "layer     type  output  parameters  multiply-adds",
        "0      Flatten      64           -              -",
        "1       Linear     128       8,320          8,192",
        "2         ReLU     128           -              -",
        "3       Linear      10       1,290          1,280",
        "",
        "parameters     9,610",
        "multiply-adds  9,472 for a sample",
    ]
