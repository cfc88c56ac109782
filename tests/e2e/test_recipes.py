"""What the shipped experiments reach: each on real data, where there is some, and on pictures that the test draws."""

import csv
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.draw import disk
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from terminal import Trained

Train = Callable[..., Trained]

# --- digits -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_reads_the_digits(train: Train) -> None:
    run = train("experiment=demo")
    assert run.figures["test/accuracy"] >= 0.96
    assert run.status["epoch"] == run.status["epochs"] == 12


# --- cats and dogs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cats_are_told_from_dogs_above_chance(train: Train, real_data: Path) -> None:
    """A shorter and narrower version of the experiment: 450 photographs are held out, half of them dogs."""
    table = real_data / "cats_and_dogs" / "label.csv"
    run = train("experiment=cats_and_dogs", f"data.source.csv={table}", "epochs=8", "model.widths=[16,32,64]")
    assert run.figures["test/accuracy"] >= 0.57


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


def test_two_kinds_of_drawn_pictures_named_in_a_csv_are_told_apart(train: Train, warm_and_cold: Path) -> None:
    run = train(
        "experiment=cats_and_dogs",
        f"data.source.csv={warm_and_cold}",
        "data.source.extension=.png",
        "data.batch_size=12",
        "model.widths=[8,16]",
        "epochs=6",
        "tracking.graph=false",
    )
    assert run.figures["test/accuracy"] == 1.0


# --- two inputs, classes of unequal size ------------------------------------------------------------------------------

TWO_INPUTS = ("experiment=two_inputs", "data.source.csv=unequal.csv", "data.source.root=pictures")


@pytest.fixture
def red_and_heavy(tmp_path: Path) -> Path:
    """unequal.csv: one picture in nine is of class 1, those that are reddish and whose weight is above 0."""
    generator = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    rows = ["image,label,weight"]
    for number in range(360):
        is_red, is_heavy = number % 3 == 0, number // 3 % 3 == 0
        pixels = generator.integers(0, 200, (12, 12, 3))
        pixels[..., 0 if is_red else 2] += 55
        weight = generator.uniform(0.2, 1) * (1 if is_heavy else -1)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / f"{number}.png")
        rows.append(f"{number}.png,{int(is_red and is_heavy)},{weight:.3f}")
    (tmp_path / "unequal.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "unequal.csv"


def test_what_neither_input_tells_alone_is_found_though_it_is_rare(train: Train, red_and_heavy: Path) -> None:
    """Of 54 test pictures 6 are of class 1. Who knows one input only, or says 0 to all, has an F1 of 0.72 at most."""
    small = (
        "data.source.feature_columns=[weight]",
        "model.widths=[8,16]",
        "data.batch_size=32",
        "tracking.graph=false",
    )
    run = train(*TWO_INPUTS, *small)
    assert run.figures["test/f1"] >= 0.9


@pytest.mark.slow
def test_a_few_dogs_among_many_cats_are_found_by_drawing_both_as_often(
    train: Train, real_data: Path, tmp_path: Path
) -> None:
    """300 dogs, 1,500 cats; besides each photograph the means of its colours. The F1 of who says cat to all is 0.45."""
    folder = real_data / "cats_and_dogs"
    listed = list(csv.DictReader((folder / "label.csv").read_text().splitlines()))
    cats, dogs = ([row["image"] for row in listed if row["label"] == label] for label in "01")
    rows = ["image,label,red,green,blue"]
    for label, names in ((0, cats), (1, dogs[::5])):
        for name in names:
            means = np.asarray(Image.open(folder / name)).mean(axis=(0, 1)) / 255
            rows.append(f"{name},{label}," + ",".join(f"{mean:.4f}" for mean in means))
    (tmp_path / "unequal.csv").write_text("\n".join(rows) + "\n")
    small = ("data.source.feature_columns=[red,green,blue]", "model.widths=[16,32,64]", "tracking.graph=false")
    run = train(*TWO_INPUTS[:2], f"data.source.root={folder}", *small)
    assert run.figures["test/f1"] >= 0.52


# --- an adapted model -------------------------------------------------------------------------------------------------


def test_the_adapted_resnet_tells_two_kinds_of_drawn_pictures_apart(train: Train, warm_and_cold: Path) -> None:
    run = train(
        *("experiment=adapted_resnet", f"data.source.csv={warm_and_cold}", "data.source.extension=.png"),
        *("data.batch_size=12", "epochs=2", "tracking.tensorboard=false"),
    )
    assert run.figures["test/accuracy"] >= 0.8


@pytest.mark.slow
def test_the_adapted_resnet_learns_to_read_what_others_wrote(train: Train, real_data: Path, tmp_path: Path) -> None:
    """2,000 of MNIST's digits, twice, are far from enough to read well, but who knows nothing reads one in ten."""
    (tmp_path / "first.txt").write_text("\n".join(map(str, range(2000))))
    small = ("data.subset=first.txt", "data.split.val=1000", "data.image_size=[16,16]", "tracking.tensorboard=false")
    run = train("experiment=adapted_resnet", "data=mnist", f"data.source.root={real_data}", "epochs=2", *small)
    assert run.figures["test/accuracy"] >= 0.4


# --- LeNet ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_lenet_reads_mnist(train: Train, real_data: Path) -> None:
    run = train("experiment=lenet", f"data.source.root={real_data}", "epochs=1", "tracking.tensorboard=false")
    assert run.figures["test/accuracy"] >= 0.95


# --- segmentation -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_unet_finds_the_shapes(train: Train) -> None:
    assert train("model=unet", "optimizer=adam", "epochs=3").figures["test/dice"] >= 0.90


@pytest.mark.slow
def test_a_unet_finds_cell_membranes_in_pictures_held_out(train: Train, real_data: Path) -> None:
    """Half the epochs and half the width of the experiment."""
    folder = real_data / "membrane"
    run = train(
        "experiment=membrane",
        f"data.source.images={folder / 'image'}",
        f"data.source.masks={folder / 'label'}",
        "epochs=5",
        "model.width=8",
        "optimizer.lr=0.003",
        "tracking.graph=false",
    )
    assert run.figures["val/dice_membrane"] >= 0.75
    assert run.status["best"] == run.figures["val/dice_membrane"]


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


def test_a_unet_finds_drawn_cells_in_pictures_held_out_and_shows_them_in_tensorboard(train: Train, cells: Path) -> None:
    """The experiment on membranes, in small: each tile is a quarter of a picture."""
    run = train(
        "experiment=membrane",
        f"data.source.images={cells / 'image'}",
        f"data.source.masks={cells / 'label'}",
        "data.source.tile=[32,32]",
        "data.split.val=2",
        "model.width=4",
        "optimizer.lr=0.01",
        "epochs=8",
    )
    figures = run.figures
    assert figures["val/dice"] >= 0.90
    assert figures["val/dice"] == pytest.approx((figures["val/dice_membrane"] + figures["val/dice_cell"]) / 2)

    board = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"images": 0}).Reload()
    pictures = board.Images("val/masks")
    assert [event.step for event in pictures] == [10 * epoch for epoch in range(1, 9)]
    _, true, predicted = rows_of_pictures(pictures[-1].encoded_image_string)
    held_out = [quarters(file) for file in (cells / "label").iterdir()]
    assert any(np.array_equal(true, mask) for mask in held_out), "the first picture held out, in its four tiles"
    # Four of the eight tiles are shown, so the pixels that are right there are about those that were counted.
    assert (true == predicted).mean() == pytest.approx(figures["val/accuracy"], abs=0.05)


def rows_of_pictures(png: bytes) -> list[np.ndarray]:
    """The rows of a grid of 3 x 4 square pictures as (4, 32, 32), True where a pixel is not black."""
    grid = np.asarray(Image.open(BytesIO(png)).convert("L")) > 0
    gap = 2
    side = (grid.shape[0] + gap) // 3 - gap
    assert grid.shape == (3 * (side + gap) - gap, 4 * (side + gap) - gap)
    starts = range(0, 4 * (side + gap), side + gap)
    return [
        np.stack([grid[top : top + side, left : left + side][:: side // 32, :: side // 32] for left in starts])
        for top in starts[:3]
    ]


def quarters(file: Path) -> np.ndarray:
    """The four tiles of a mask of 64 x 64, row by row, True inside a cell."""
    mask = np.asarray(Image.open(file)) > 0
    return np.stack([mask[top : top + 32, left : left + 32] for top in (0, 32) for left in (0, 32)])
