"""``runner predict``: what it writes is what the plain model says of the same pixels, read and normalised by hand."""

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from terminal import Trained
from torch import Tensor, nn

from runner.build import build
from runner.cli import main
from runner.runs.checkpoints import read_checkpoint

Train = Callable[..., Trained]

SMALL = ("epochs=1", "max_steps=2", "tracking.tensorboard=false", "data.batch_size=4")
PETS = ("data=csv_images", "model=convnet", "model.widths=[4]", *SMALL)


def bare_model(run: Trained, checkpoint: str = "best") -> nn.Module:
    """The class that the configuration names, with the weights of the checkpoint."""
    node = yaml.safe_load((run.path / "config.yaml").read_text())["model"]
    net: nn.Module = build({key: value for key, value in node.items() if not key.startswith("weights")})
    net.load_state_dict(read_checkpoint(run.path / "checkpoints" / f"{checkpoint}.pt")["model"])
    return net.eval()


def normalised(run: Trained, pixels: np.ndarray) -> Tensor:
    """Pixels (H, W) or (H, W, C) of bytes as a batch of one, (1, C, H, W)."""
    channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    image = torch.from_numpy(channels_first.astype(np.float32) / 255)[None]
    found = json.loads((run.path / "signature.json").read_text())["normalize"]
    if found is None:
        return image
    mean, std = (torch.tensor(found[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    return (image - mean) / std


def predicted(file: str = "out.csv") -> list[dict[str, str]]:
    with Path(file).open(newline="") as stream:
        return list(csv.DictReader(stream))


def shares(row: dict[str, str]) -> list[float]:
    return [float(value) for key, value in row.items() if key.startswith(("p_", "value"))]


@torch.no_grad()
def outputs_by_hand(run: Trained, files: list[Path]) -> Tensor:
    net = bare_model(run)
    return torch.cat([net(normalised(run, np.asarray(Image.open(file)))) for file in files])


def test_classes_and_probabilities_are_those_of_the_plain_model(train: Train, tiny_pictures: Path) -> None:
    run = train("data=image_folder", "data.source.root=pets", "model=convnet", "model.widths=[4]", *SMALL)
    assert main(["predict", str(run.path), "pets/dog", "pets/cat/0.png", "-o", "out.csv", "--batch-size", "4"]) == 0
    files = [*sorted(Path("pets/dog").iterdir()), Path("pets/cat/0.png")]
    expected = outputs_by_hand(run, files).softmax(1)
    rows = predicted()
    assert [row["input"] for row in rows] == [str(file) for file in files]
    assert list(rows[0]) == ["input", "class", "p_cat", "p_dog"]
    assert [row["class"] for row in rows] == [("cat", "dog")[one] for one in expected.argmax(1)]
    np.testing.assert_allclose([shares(row) for row in rows], expected, rtol=0, atol=1e-6)


def test_pictures_of_another_size_and_mode_are_brought_to_what_the_model_takes(
    train: Train, tiny_pictures: Path
) -> None:
    run = train("data=image_folder", "data.source.root=pets", "model=convnet", "model.widths=[4]", *SMALL)
    grey = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 24), dtype=np.uint8))
    grey.save("grey.png")
    assert main(["predict", str(run.path), "grey.png", "-o", "out.csv"]) == 0
    pixels = np.asarray(grey.resize((16, 16), Image.Resampling.BILINEAR))
    with torch.no_grad():
        expected = bare_model(run)(normalised(run, np.stack([pixels] * 3, axis=2))).softmax(1)
    np.testing.assert_allclose(shares(predicted()[0]), expected[0], rtol=0, atol=1e-6)


def test_a_table_names_the_images_and_batches_of_any_size_say_the_same(train: Train, tiny_pictures: Path) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv")
    for size in ("1", "5", "100"):
        assert main(["predict", str(run.path), "pets/label.csv", "-o", f"{size}.csv", "--batch-size", size]) == 0
    by_table = predicted("5.csv")
    assert [row["input"] for row in by_table] == [f"{('cat', 'dog')[n % 2]}/{n}.png" for n in range(12)]
    expected = outputs_by_hand(run, [Path("pets", row["input"]) for row in by_table]).softmax(1)
    for size in ("1", "5", "100"):
        np.testing.assert_allclose([shares(row) for row in predicted(f"{size}.csv")], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("typed", "columns", "named"),
    [
        (["task=binary"], ["class", "p_0", "p_1"], lambda p: str(int(p[1] >= p[0]))),
        (
            ["task=multilabel", "data.source.label_column=[wet,dark]"],
            ["labels", "p_wet", "p_dark"],
            lambda p: " ".join(name for name, one in zip(("wet", "dark"), p, strict=True) if one >= 0.5),
        ),
        (["task=regression", "data.source.label_column=weight"], ["value"], None),
        (["task=regression", "data.source.label_column=[age,weight]"], ["value_0", "value_1"], None),
    ],
)
def test_each_task_has_its_columns(
    train: Train, tiny_pictures: Path, typed: list[str], columns: list[str], named: Callable[[Any], str] | None
) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv", *typed)
    assert main(["predict", str(run.path), "pets/c*/*.png", "-o", "out.csv"]) == 0
    rows = predicted()
    assert list(rows[0]) == ["input", *columns]
    raw = outputs_by_hand(run, [Path(row["input"]) for row in rows])
    expected = raw if "value" in columns[0] else raw.sigmoid()
    if typed == ["task=binary"]:
        expected = torch.cat([1 - expected, expected], 1)
    np.testing.assert_allclose([shares(row) for row in rows], expected, rtol=1e-5, atol=1e-6)
    if named:
        assert [row[columns[0]] for row in rows] == [named(one) for one in expected]


def test_an_image_and_features_come_from_the_columns_that_the_run_was_trained_on(
    train: Train, tiny_pictures: Path
) -> None:
    run = train(
        "data=csv_images", "data.source.csv=pets/label.csv", "data.source.feature_columns=[age,weight]",
        "model=two_input_convnet", "model.widths=[4]", *SMALL,
    )  # fmt: skip
    # Without labels, and the columns in another order.
    Path("pets/new.csv").write_text("weight,image,age\n0.5,cat/0.png,3\n-1,dog/1.png,7\nmany,dog/3.png,7\n")
    assert main(["predict", str(run.path), "pets/new.csv", "-o", "out.csv"]) == 1, "a weight is no number"
    net = bare_model(run)
    for row, features in zip(predicted(), ([3, 0.5], [7, -1]), strict=True):
        image = normalised(run, np.asarray(Image.open(Path("pets", row["input"]))))
        with torch.no_grad():
            expected = net(image, torch.tensor([features], dtype=torch.float32)).softmax(1)[0]
        np.testing.assert_allclose(shares(row), expected, rtol=0, atol=1e-6)
    assert main(["export", str(run.path), "--format", "weights"]) == 0
    assert json.loads((run.path / "export" / "model.pt.json").read_text())["columns"] == [[], ["age", "weight"]]


@pytest.mark.parametrize(
    "table",
    [
        "age,weight\n3,1.5\n8,-2\n",
        "weight,name,age\n1.5,Rex,3\n-2,Tom,8\n",
        "years,kg\n3,1.5\n8,-2\n",
    ],
    ids=["as trained", "another order", "other names"],
)
def test_rows_of_features_are_predicted_from_a_table(train: Train, tiny_pictures: Path, table: str) -> None:
    run = train("data=tensors", "data.source.file=pets/table.csv", "model=mlp", "model.hidden=[3]", *SMALL)
    Path("new.csv").write_text(table)
    assert main(["predict", str(run.path), "new.csv", "-o", "out.csv"]) == 0
    assert main(["predict", str(run.path), "pets/table.csv", "-o", "with_labels.csv"]) == 0
    values = torch.tensor([[3, 1.5], [8, -2]])
    found = json.loads((run.path / "signature.json").read_text())["normalize"]
    if found:
        values = (values - torch.tensor(found["mean"])) / torch.tensor(found["std"])
    with torch.no_grad():
        expected = bare_model(run)(values).softmax(1)
    rows = predicted()
    assert [row["input"] for row in rows] == ["new.csv:1", "new.csv:2"]
    np.testing.assert_allclose([shares(row) for row in rows], expected, rtol=0, atol=1e-6)
    assert len(predicted("with_labels.csv")) == 40


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cells(train: Train, tiny_pictures: Path) -> Trained:
    """A U-Net for pictures of 32 x 32, some steps old; its masks have the values 0 and 255."""
    return train(
        "data=mask_folder", "data.source.images=cells/image", "data.source.masks=cells/label", "model=unet",
        "model.width=4", "model.levels=2", "optimizer=adam", "optimizer.lr=0.03", "epochs=4", "data.batch_size=2",
        "tracking.tensorboard=false",
    )  # fmt: skip


def classes_by_hand(run: Trained, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(bare_model(run)(normalised(run, pixels)).argmax(1)[0])


def test_masks_have_the_size_of_their_picture_and_the_values_of_the_data(cells: Trained) -> None:
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (50, 40), dtype=np.uint8))
    Path("new/deep").mkdir(parents=True)
    picture.save("new/deep/one.bmp")
    assert main(["predict", str(cells.path), "new", "cells/image/0.png", "-o", "masks"]) == 0
    assert sorted(path.relative_to("masks").as_posix() for path in Path("masks").rglob("*.png")) == [
        "0.png",
        "deep/one.png",
    ]

    mask = np.asarray(Image.open("masks/0.png"))
    expected = classes_by_hand(cells, np.asarray(Image.open("cells/image/0.png")))
    assert 0 < expected.mean() < 1, "both classes are there"
    np.testing.assert_array_equal(mask, expected * 255)

    small = classes_by_hand(cells, np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)))
    back = Image.fromarray((small * 255).astype(np.uint8)).resize((40, 50), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(np.asarray(Image.open("masks/deep/one.png")), np.asarray(back))


def test_pictures_are_cut_into_the_tiles_that_the_run_was_trained_on(train: Train, tiny_pictures: Path) -> None:
    run = train(
        "data=mask_folder", "data.source.images=cells/image", "data.source.masks=cells/label",
        "data.source.tile=[16,16]", "model=unet", "model.width=4", "model.levels=2", "optimizer=adam",
        "optimizer.lr=0.03", "epochs=3", "data.batch_size=4", "tracking.tensorboard=false",
    )  # fmt: skip
    picture = np.random.default_rng(3).integers(0, 256, (24, 32), dtype=np.uint8)
    Image.fromarray(picture).save("wide.png")
    Image.fromarray(picture[:8]).save("flat.png")
    assert main(["predict", str(run.path), "wide.png", "flat.png", "-o", "masks", "--batch-size", "3"]) == 1
    expected = np.zeros((24, 32), int)
    for top in (0, 8):  # the second row of tiles ends at the border, over a part of the first
        for left in (0, 16):
            tile = picture[top : top + 16, left : left + 16]
            expected[top : top + 16, left : left + 16] = classes_by_hand(run, tile)
    np.testing.assert_array_equal(np.asarray(Image.open("masks/wide.png")), expected * 255)
    assert not Path("masks/flat.png").exists(), "it is smaller than a tile"


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_unreadable_file_is_told_twice_and_the_others_are_predicted(
    train: Train, tiny_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("data=image_folder", "data.source.root=pets", "model=convnet", "model.widths=[4]", *SMALL)
    whole = Path("pets/cat/0.png").read_bytes()
    Path("pets/cat/1.png").write_bytes(whole[: len(whole) // 2])
    Path("pets/cat/3.png").write_text("no image")
    capsys.readouterr()
    assert main(["predict", str(run.path), "pets/cat", "-o", "out.csv"]) == 1
    said = capsys.readouterr()
    assert "skipped: pets/cat/1.png" in said.out
    assert "2 could not be predicted" in said.err
    assert "pets/cat/3.png is not an image" in said.err
    assert [row["input"] for row in predicted()] == [f"pets/cat/{n}.png" for n in (0, 10, 2, 4, 6, 8)]


def test_a_file_name_that_is_no_text_does_not_cost_the_predictions_of_the_others(
    train: Train, tiny_pictures: Path
) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv")
    Path("pets/cat", b"caf\xe9.png".decode(errors="surrogateescape")).write_bytes(Path("pets/cat/0.png").read_bytes())
    assert main(["predict", str(run.path), "pets/cat", "-o", "out.csv"]) == 0
    by_name = {row.pop("input"): row for row in predicted()}
    assert len(by_name) == 7
    assert by_name[r"pets/cat/caf\udce9.png"] == by_name["pets/cat/0.png"]


def test_a_table_without_the_header_that_the_run_had_does_not_lose_its_first_image(
    train: Train, tiny_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv")
    Path("pets/list.csv").write_text("cat/0.png\ncat/2.png\n")
    assert main(["predict", str(run.path), "pets/list.csv", "-o", "out.csv"]) == 2
    assert "the first row is to name the columns, but cat/0.png in it is a file" in capsys.readouterr().err
    assert not Path("out.csv").exists()


def test_where_nothing_can_be_read_nothing_is_written(train: Train, tiny_pictures: Path) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv")
    Path("broken.png").write_text("no image")
    before = sorted(tiny_pictures.iterdir())
    assert main(["predict", str(run.path), "broken.png", "-o", "out.csv"]) == 1
    assert sorted(tiny_pictures.iterdir()) == before


def test_a_prediction_that_fails_midway_leaves_what_was_there(
    train: Train, tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv")
    Path("out.csv").write_text("of an earlier day\n")
    before = sorted(tiny_pictures.iterdir())
    calls = []

    def full(self: object, *cells: object) -> None:
        calls.append(cells)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("runner.deploy.results.CsvResults.take", full)
    assert main(["predict", str(run.path), "pets", "-o", "out.csv", "--batch-size", "2"]) == 2
    assert Path("out.csv").read_text() == "of an earlier day\n"
    assert sorted(tiny_pictures.iterdir()) == before


def test_a_prediction_that_is_asked_to_end_leaves_nothing_behind(
    train: Train, tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv")
    before = sorted(tiny_pictures.iterdir())
    monkeypatch.setattr(
        "runner.deploy.results.CsvResults.take", lambda self, *cells: signal.raise_signal(signal.SIGTERM)
    )

    def survive(number: int, frame: FrameType | None) -> None:
        """Else it would end the process of the tests."""

    own = signal.signal(signal.SIGTERM, survive)
    try:
        assert main(["predict", str(run.path), "pets", "-o", "out.csv"]) == 130
        assert signal.getsignal(signal.SIGTERM) is survive
    finally:
        signal.signal(signal.SIGTERM, own)
    assert sorted(tiny_pictures.iterdir()) == before


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (["pets/cat/0.pgn"], "nearest:  pets/cat/0.png"),
        (["none/*.png"], "no file matches none/*.png"),
        (["empty"], "empty has no images in it"),
        (["pets/table.csv"], None),
    ],
)
def test_inputs_that_are_not_there_are_refused_before_anything_is_written(
    train: Train, tiny_pictures: Path, capsys: pytest.CaptureFixture[str], inputs: list[str], told: str | None
) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv")
    Path("empty").mkdir()
    assert main(["predict", str(run.path), *inputs, "-o", "out.csv"]) == (2 if told else 1)
    assert not Path("out.csv").exists()
    if told:
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", [["eval"], ["predict", "pets", "-o", "out.csv"], ["export", "--format", "weights"]])
@pytest.mark.parametrize(
    ("typed", "told"), [("model.widths=[5]", "here (5, 3, 3, 3)"), ("regularization=ema", "it has no averaged weights")]
)
def test_a_checkpoint_of_another_run_is_refused(
    train: Train, tiny_pictures: Path, capsys: pytest.CaptureFixture[str], command: list[str], typed: str, told: str
) -> None:
    other = train(*PETS, "data.source.csv=pets/label.csv")
    run = train(*PETS, "data.source.csv=pets/label.csv", typed)
    name, *arguments = command
    checkpoint = other.path / "checkpoints" / "best.pt"
    assert main([name, str(run.path), *arguments, "--checkpoint", str(checkpoint)]) == 2
    said = capsys.readouterr().err
    assert "the checkpoint does not fit to the model of the run" in said
    assert told in said


def test_two_pictures_that_would_have_the_same_mask_are_refused(
    cells: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other").mkdir()
    Path("other/0.png").write_bytes(Path("cells/image/0.png").read_bytes())
    assert main(["predict", str(cells.path), "cells/image/0.png", "other/0.png", "-o", "masks"]) == 2
    assert "would have the same mask" in capsys.readouterr().err
    assert not Path("masks").exists()


def test_the_data_of_the_run_need_not_be_there_any_more(train: Train, tiny_pictures: Path) -> None:
    run = train(*PETS, "data.source.csv=pets/label.csv", "data.normalize=auto")
    kept = Path("pets/cat/0.png").rename("kept.png")
    for file in tiny_pictures.glob("pets/**/*.*"):
        file.unlink()
    assert main(["predict", str(run.path), "kept.png", "-o", "out.csv"]) == 0
    np.testing.assert_allclose(shares(predicted()[0]), outputs_by_hand(run, [kept]).softmax(1)[0], rtol=0, atol=1e-6)
