"""What ``runner data`` tells, against values counted by hand."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.cli import main
from runner.data.decode import read_mask, read_pixels

Told = Callable[..., dict]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """``runner data ... --json`` in the folder of the test."""
    monkeypatch.chdir(tmp_path)

    def told(*typed: str) -> dict:
        assert main(["data", *typed, "--json"]) == 0
        found: dict = json.loads(capsys.readouterr().out)
        return found

    return told


def test_sizes_classes_and_numbers_are_those_of_the_files(told: Told, tmp_path: Path) -> None:
    pixels = np.arange(10 * 4, dtype=np.uint8).reshape(10, 2, 2)
    np.savez(
        tmp_path / "x.npz",
        image=pixels,
        part=np.array(["train"] * 6 + ["val"] * 4),
        label=[0, 1, 1, 1, 1, 0] + [0, 1] * 2,
    )
    found = told(
        "data=tensors", "data.source.file=x.npz", "data.source.split=part", "data.split.test=0", "model=convnet"
    )
    assert found["splits"] == {"training": 6, "validation": 4}
    assert found["balance"] == {"0": {"training": 2, "validation": 2}, "1": {"training": 4, "validation": 2}}
    (image,) = found["inputs"]
    assert (image["shape"], image["stored"]) == ([1, 2, 2], "uint8")
    assert image["mean"] == [pytest.approx(pixels[:6].mean() / 255)]
    assert image["std"] == [pytest.approx(pixels[:6].std() / 255)]
    assert found["normalize"] == {"mean": image["mean"], "std": image["std"]}


def test_values_are_told_with_their_spread(told: Told, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,price\n" + "".join(f"{n},{price}\n" for n, price in enumerate([2, 4, 9, 5])))
    found = told(
        *("data=tensors", "data.source.file=t.csv", "task=regression"),
        *("data.split={val: 0, test: 0}", "monitor=train/loss"),
    )
    assert found["values"] == [
        {"training": {"least": 2, "mean": 5, "greatest": 9, "std": pytest.approx(np.std([2, 4, 9, 5]))}}
    ]
    assert found["picture"] is None


def test_masks_are_told_by_the_share_of_their_pixels_and_need_no_model(told: Told, tiny_pictures: Path) -> None:
    masks = [read_mask(file) for file in Path("cells/label").iterdir()]
    found = told(
        *("data=mask_folder", "data.source.images=cells/image", "data.source.masks=cells/label"),
        *("data.split={val: 0, test: 0}", "data.source.class_names=[wall,cell]"),
    )
    assert found["balance"]["cell"]["training"] == pytest.approx(np.mean([mask == 255 for mask in masks]))
    assert found["balance"]["wall"]["training"] == pytest.approx(np.mean([mask == 0 for mask in masks]))


def test_the_picture_shows_samples_as_they_are_kept_and_as_training_changes_them(told: Told, tmp_path: Path) -> None:
    images = np.zeros((8, 64, 64), np.uint8)
    images[:, :, :32] = 255  # white on the left
    np.savez(tmp_path / "x.npz", image=images, label=np.arange(8) % 2)
    found = told(
        *("data=tensors", "data.source.file=x.npz", "model=convnet", "data.split={val: 0, test: 0}"),
        *("data.augment=[{_target_:runner.data.augment.HorizontalFlip,p:1.0}]", "-o", "here.png"),
    )
    assert found["picture"] == "here.png"
    picture = read_pixels(Path("here.png"))
    strips = [picture[16 + 68 * row : 16 + 68 * row + 64, 96 : 96 + 64, 0] for row in range(5)]
    kept, *epochs, evaluated = strips
    assert np.array_equal(kept, images[0])
    assert np.array_equal(evaluated, images[0])
    assert all(np.array_equal(epoch, images[0, :, ::-1]) for epoch in epochs)


def test_the_table_names_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert "samples     1,257         270   270\n" in out
    assert "input  kept as    mean     std\n1x8x8    uint8" in out
    assert out.endswith("picture  outputs/data-digits.png\n")
    with Image.open("outputs/data-digits.png") as picture:
        assert picture.size == (96 + 8 * 66 - 2, 16 + 5 * 68)


@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        (["-o", "x.jpg"], "-o x.jpg: pictures are written as PNG"),
        (["-o", "none/x.png"], "-o none/x.png: the folder none is not there"),
        (["-o"], "runner data: -o needs a file"),
        (["data.folds=3"], "data.folds=3 needs data.fold"),
        (["data.batch_siz=3"], "data.batch_siz is not a setting"),
    ],
)
def test_a_wrong_request_is_refused_and_writes_nothing(
    typed: list[str], refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", *typed]) == 2
    assert refusal in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_told_without_what_a_model_could_not_do_with_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "data=digits", "model=unet", "data.batch_siz=3"]) == 2
    assert "model=unet" not in capsys.readouterr().err


@pytest.mark.parametrize("folder", [".", "/", "..", "x.png"])
def test_a_folder_is_no_file_for_the_picture(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.png").mkdir()
    assert main(["data", "-o", folder]) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"-o {folder} is a folder")
    assert f"  fix:      -o {Path(folder) / 'samples.png'}" in err


def test_a_picture_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Image.Image, "save", refuse)
    assert main(["data", "data=digits", "-o", "x.png"]) == 2
    assert "the picture x.png cannot be written: Read-only file system\n" in capsys.readouterr().err
