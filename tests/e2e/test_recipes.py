"""What the shipped experiments reach: each on real data, where there is some, and on pictures that the test draws."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.draw import disk
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from runner.runs.directory import RunDirectory
from runner.training.execute import execute

NewRun = Callable[..., RunDirectory]


def trained(run: RunDirectory) -> dict[str, float]:
    """Execute a run; its final figures."""
    outcome = execute(run)
    assert outcome.exit_code == 0, outcome.status.error
    return outcome.status.metrics


# --- digits -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_reads_the_digits(new_run: NewRun) -> None:
    run = new_run("experiment=demo")
    assert trained(run)["test/accuracy"] >= 0.96
    assert run.path.name.endswith("-demo")
    assert json.loads(run.status_file.read_text())["epoch"] == 12


# --- cats and dogs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cats_are_told_from_dogs_above_chance(new_run: NewRun, real_data: Path) -> None:
    """A shorter and narrower version of the experiment: 450 photographs are held out, half of them dogs."""
    table = real_data / "cats_and_dogs" / "label.csv"
    run = new_run("experiment=cats_and_dogs", f"data.source.csv={table}", "epochs=8", "model.widths=[16,32,64]")
    assert trained(run)["test/accuracy"] >= 0.60


@pytest.fixture
def warm_and_cold(tmp_path: Path) -> Path:
    """A CSV of noisy pictures of two kinds: reddish ones (0) and bluish ones (1); no single pixel tells them apart."""
    generator = np.random.default_rng(0)
    rows = ["image,label"]
    for number in range(120):
        label = number % 2
        pixels = generator.integers(0, 200, (12, 12, 3))
        pixels[..., (0, 2)[label]] += 55
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number},{label}")
    (tmp_path / "label.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "label.csv"


def test_two_kinds_of_drawn_pictures_named_in_a_csv_are_told_apart(new_run: NewRun, warm_and_cold: Path) -> None:
    run = new_run(
        "experiment=cats_and_dogs",
        f"data.source.csv={warm_and_cold}",
        "data.source.extension=.png",
        "data.batch_size=12",
        "model.widths=[8,16]",
        "epochs=6",
        "tracking.graph=false",
    )
    assert trained(run)["test/accuracy"] == 1.0


# --- segmentation -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_unet_finds_the_shapes(new_run: NewRun) -> None:
    assert trained(new_run("model=unet", "optimizer=adam", "epochs=3"))["test/dice"] >= 0.90


@pytest.mark.slow
def test_a_unet_finds_cell_membranes_in_pictures_held_out(new_run: NewRun, real_data: Path) -> None:
    """Half the epochs and half the width of the experiment."""
    folder = real_data / "membrane"
    run = new_run(
        "experiment=membrane",
        f"data.source.images={folder / 'image'}",
        f"data.source.masks={folder / 'label'}",
        "epochs=5",
        "model.width=8",
        "optimizer.lr=0.003",
        "tracking.graph=false",
    )
    figures = trained(run)
    assert figures["val/dice_membrane"] >= 0.75
    assert json.loads(run.status_file.read_text())["best"] == figures["val/dice_membrane"]


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """image/ and label/: bright cells, 0 outside and 255 inside, on a dark ground, in noise."""
    generator = np.random.default_rng(0)
    for kind in ("image", "label"):
        (tmp_path / kind).mkdir()
    for number in range(12):
        mask = np.zeros((64, 64), np.uint8)
        for _ in range(3):
            mask[disk(tuple(generator.integers(10, 54, 2)), generator.integers(6, 12), shape=mask.shape)] = 255
        image = np.where(mask, 150, 100) + generator.normal(0, 30, mask.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "image" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "label" / f"{number}.png")
    return tmp_path


@pytest.fixture
def cells_run(new_run: NewRun, cells: Path) -> RunDirectory:
    """The experiment on membranes, in small: a run on the cells whose tiles are a quarter of a picture."""
    return new_run(
        "experiment=membrane",
        f"data.source.images={cells / 'image'}",
        f"data.source.masks={cells / 'label'}",
        "data.source.tile=[32,32]",
        "data.split.val=2",
        "model.width=4",
        "optimizer.lr=0.01",
        "epochs=8",
    )


def test_a_unet_finds_drawn_cells_in_pictures_held_out_and_shows_them_in_tensorboard(cells_run: RunDirectory) -> None:
    figures = trained(cells_run)
    assert figures["val/dice"] >= 0.90
    assert figures["val/dice"] == pytest.approx((figures["val/dice_membrane"] + figures["val/dice_cell"]) / 2)

    board = EventAccumulator(str(cells_run.tensorboard), size_guidance={"images": 0}).Reload()
    pictures = board.Images("val/masks")
    assert [event.step for event in pictures] == [10 * epoch for epoch in range(1, 9)]
    shown = np.asarray(Image.open(BytesIO(pictures[-1].encoded_image_string)).convert("RGB"))
    _, true, predicted = tiles(shown, side=32)
    colours = {tuple(colour) for colour in true.reshape(-1, 3).tolist()}
    assert len(colours) == 2, "one for each class"
    assert {tuple(colour) for colour in predicted.reshape(-1, 3).tolist()} <= colours
    right = (true == predicted).all(-1).mean()
    assert right == pytest.approx(figures["val/accuracy"], abs=0.05), "the pictures shown are half of those counted"


def tiles(picture: np.ndarray, side: int) -> list[np.ndarray]:
    """The three rows of a grid, (side, number of pictures * side, 3) each, without the lines between the pictures."""
    count = (picture.shape[1] + 2) // (side + 2)
    columns = np.concatenate([np.arange(side) + number * (side + 2) for number in range(count)])
    return [picture[start : start + side][:, columns] for start in range(0, picture.shape[0], side + 2)]
