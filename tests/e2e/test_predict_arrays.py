"""``runner predict`` for models whose data are arrays: everything that ``data=tensors`` reads can be predicted."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from terminal import Trained
from test_predict import bare_model, predicted, shares
from torch import Tensor

from runner.cli import main

Train = Callable[..., Trained]
SMALL = ("epochs=1", "max_steps=2", "tracking.tensorboard=false", "data.batch_size=4")
DRAW = np.random.default_rng(0)
NUM = 24
SIGNALS = DRAW.normal(size=(NUM, 2, 16)).astype(np.float32)
IMAGES = DRAW.integers(0, 256, (NUM, 8, 8), dtype=np.uint8)
ROWS = DRAW.normal(size=(NUM, 3)).astype(np.float32)
KINDS = np.arange(NUM) % 2
PAIR = """
from torch import Tensor, cat, nn


class Pair(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.output = nn.LazyLinear(2)

    def forward(self, *inputs: Tensor) -> Tensor:
        assert len(inputs) == self.inputs
        return self.output(cat([values.flatten(1) for values in inputs], 1))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the arrays and a model of several inputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pair_of_inputs", raising=False)  # of the test before
    Path("pair_of_inputs.py").write_text(PAIR)
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/pair.yaml").write_text("_target_: pair_of_inputs.Pair\ninputs: ???\n")
    np.savez("all.npz", signal=SIGNALS, image=IMAGES, row=ROWS, kind=KINDS)
    return tmp_path


def trained(train: Train, *typed: str) -> Trained:
    return train("data=tensors", *SMALL, *typed)


def expected(run: Trained, *inputs: np.ndarray) -> Tensor:
    """Probabilities of the plain model for arrays with an axis of samples; the first input normalised by hand."""
    first, *others = (torch.from_numpy(values).float() for values in inputs)
    found = json.loads((run.path / "signature.json").read_text())["normalize"]
    mean, std = (torch.tensor(found[key]).view(1, -1, *[1] * (first.ndim - 2)) for key in ("mean", "std"))
    net = bare_model(run)
    with torch.no_grad():
        return net((first - mean) / std, *others).softmax(1)


def assert_predicted(run: Trained, names: list[str], shares_expected: Tensor, file: str = "out.csv") -> None:
    rows = predicted(file)
    assert [row["input"] for row in rows] == names
    np.testing.assert_allclose([shares(row) for row in rows], shares_expected, rtol=0, atol=1e-6)


def signal_run(train: Train) -> Trained:
    return trained(
        train, "data.source.file=all.npz", "data.source.inputs=[signal]", "data.source.label=kind",
        "model=convnet1d", "model.widths=[4]",
    )  # fmt: skip


@pytest.mark.parametrize("kind", [".npy", ".npz", ".pt"])
def test_each_row_of_an_array_is_a_sample(train: Train, here: Path, kind: str) -> None:
    run = signal_run(train)
    if kind == ".npy":
        np.save("new.npy", SIGNALS[:5])
    elif kind == ".npz":
        np.savez("new.npz", signal=SIGNALS[:5], other=ROWS)
    else:
        torch.save({"other": torch.zeros(3), "signal": torch.from_numpy(SIGNALS[:5])}, "new.pt")
    assert main(["predict", run.path.name, f"new{kind}", "-o", "out.csv", "--batch-size", "2"]) == 0
    assert_predicted(run, [f"new{kind}[{row}]" for row in range(5)], expected(run, SIGNALS[:5]))


def test_files_of_one_sample_in_a_folder_are_samples_and_what_does_not_fit_is_told(
    train: Train, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = signal_run(train)
    Path("new/deep").mkdir(parents=True)
    np.save("new/a.npy", SIGNALS[0])
    np.savez("new/deep/b.npz", SIGNALS[1])
    np.save("new/c.npy", SIGNALS[2, :, :9])
    Path("new/d.npy").write_bytes(b"\x93NUMPY no array")
    np.savez("new/e.npz", x=ROWS, y=ROWS)
    Image.fromarray(IMAGES[0]).save("new/picture.png")
    np.save("new/.hidden.npy", SIGNALS[0])
    assert main(["predict", run.path.name, "new", "-o", "out.csv"]) == 1
    assert_predicted(run, ["new/a.npy", "new/deep/b.npz"], expected(run, SIGNALS[:2]))
    told = capsys.readouterr().err
    assert "3 could not be predicted" in told
    assert "new/c.npy has shape 2x9, and a sample of the run 2x16\n" in told
    assert "new/d.npy" in told
    assert "new/e.npz" in told


def test_a_table_names_files_of_samples(train: Train, here: Path) -> None:
    run = signal_run(train)
    Path("new").mkdir()
    for row in range(3):
        np.save(f"new/{row}.npy", SIGNALS[row])
    Path("new/list.csv").write_text("id,signal\n7,2.npy\n8,0.npy\n9,gone.npy\n")
    assert main(["predict", run.path.name, "new/list.csv", "-o", "out.csv"]) == 1
    assert_predicted(run, ["2.npy", "0.npy"], expected(run, SIGNALS[[2, 0]]))


def test_a_name_in_a_table_does_not_lead_out_of_its_folder(
    train: Train, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = signal_run(train)
    Path("new").mkdir()
    np.save("outside.npy", SIGNALS[0])
    Path("new/list.csv").write_text("signal\n../outside.npy\n")
    assert main(["predict", run.path.name, "new/list.csv", "-o", "out.csv"]) == 1
    assert "../outside.npy leads out of the folder" in capsys.readouterr().err


def test_images_in_arrays_are_brought_to_the_size_and_channels_are_not_guessed(train: Train, here: Path) -> None:
    run = trained(
        train, "data.source.file=all.npz", "data.source.inputs=[image]", "data.source.label=kind",
        "model=convnet", "model.widths=[4]",
    )  # fmt: skip
    np.save("grey.npy", IMAGES[:3])
    np.save("one.npy", IMAGES[3].astype(np.int64))
    Image.fromarray(IMAGES[4]).save("picture.png")
    large = np.asarray(Image.fromarray(IMAGES[5]).resize((16, 16), Image.Resampling.NEAREST))
    np.save("large.npy", large[None, None])
    np.save("colour.npy", np.zeros((2, 8, 8, 3), np.uint8))
    files = ["grey.npy", "one.npy", "picture.png", "large.npy"]
    assert main(["predict", run.path.name, *files, "colour.npy", "-o", "out.csv"]) == 1
    names = ["grey.npy[0]", "grey.npy[1]", "grey.npy[2]", "one.npy", "picture.png", "large.npy[0]"]
    small = np.asarray(Image.fromarray(large).resize((8, 8), Image.Resampling.BILINEAR))
    pixels = np.stack([*IMAGES[:5], small])[:, None] / np.float32(255)
    assert_predicted(run, names, expected(run, pixels))


def test_images_of_floats_and_bytes_are_not_taken_for_each_other(
    train: Train, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares_of_white = IMAGES[:, None] / np.float32(255)
    np.savez("floats.npz", image=shares_of_white, kind=KINDS)
    run = trained(train, "data.source.file=floats.npz", "model=convnet", "model.widths=[4]")
    np.save("floats.npy", shares_of_white[:2].astype(np.float64))
    np.save("bytes.npy", IMAGES[:2, None])
    Image.fromarray(IMAGES[2]).save("picture.png")
    assert main(["predict", run.path.name, "floats.npy", "picture.png", "bytes.npy", "-o", "out.csv"]) == 1
    names = ["floats.npy[0]", "floats.npy[1]", "picture.png"]
    assert_predicted(run, names, expected(run, shares_of_white[:3]))
    assert "bytes.npy[0] has whole numbers, and the run was trained on floats of 0 to 1" in capsys.readouterr().err


def test_whole_numbers_of_another_width_are_the_same_numbers(train: Train, here: Path) -> None:
    """Values up to 4095 are kept as 16 bits; a file of small values only is not stretched to them."""
    np.savez("deep.npz", image=IMAGES[:, None].astype(np.int32) * 16, kind=KINDS)
    run = trained(train, "data.source.file=deep.npz", "model=convnet", "model.widths=[4]")
    np.save("small.npy", IMAGES[:2, None])
    assert main(["predict", run.path.name, "small.npy", "-o", "out.csv"]) == 0
    assert_predicted(run, ["small.npy[0]", "small.npy[1]"], expected(run, IMAGES[:2, None] / np.float32(65535)))


SEVERAL = ("data.source.file=all.npz", "data.source.label=kind", "model=pair")


def test_several_inputs_come_from_one_file_by_their_names(train: Train, here: Path) -> None:
    run = trained(train, *SEVERAL, "data.source.inputs=[row,signal]", "model.inputs=2")
    np.savez("new.npz", signal=SIGNALS[:4], extra=KINDS, row=ROWS[:4])
    assert main(["predict", run.path.name, "new.npz", "-o", "out.csv"]) == 0
    assert_predicted(run, [f"new.npz[{row}]" for row in range(4)], expected(run, ROWS[:4], SIGNALS[:4]))
    np.savez("one.npz", signal=SIGNALS[7], row=ROWS[7])
    assert main(["predict", run.path.name, "one.npz", "-o", "out.csv"]) == 0
    assert_predicted(run, ["one.npz"], expected(run, ROWS[7:8], SIGNALS[7:8]))


def test_several_inputs_come_from_a_table_that_names_files_and_holds_numbers(train: Train, here: Path) -> None:
    run = trained(train, *SEVERAL, "data.source.inputs=[image,row,signal]", "model.inputs=3")
    for row in range(3):
        Image.fromarray(IMAGES[row]).save(f"{row}.png")
        np.save(f"{row}.npy", SIGNALS[row])
    lines = [f"{row}.npy,{row}.png," + ",".join(map(str, ROWS[row])) for row in (1, 2)]
    Path("new.csv").write_text("\n".join(["signal,image,a,b,c", *lines]) + "\n")
    assert main(["predict", run.path.name, "new.csv", "-o", "out.csv"]) == 0
    pixels = IMAGES[1:3, None] / np.float32(255)
    assert_predicted(run, ["1.png", "2.png"], expected(run, pixels, ROWS[1:3], SIGNALS[1:3]))


def test_rows_that_are_two_inputs_come_from_the_columns_of_the_run(train: Train, here: Path) -> None:
    table = "a,b,c,kind\n" + "".join(f"{a},{b},{c},{n % 2}\n" for n, (a, b, c) in enumerate(ROWS))
    Path("table.csv").write_text(table)
    run = trained(train, "data.source.file=table.csv", "data.source.inputs=[[c],[a,b]]", "model=pair", "model.inputs=2")
    assert main(["predict", run.path.name, "table.csv", "-o", "out.csv"]) == 0
    np.savez("new.npz", first=ROWS[:2, 2], second=ROWS[:2, :2])
    assert main(["predict", run.path.name, "new.npz", "-o", "arrays.csv"]) == 0
    names = [f"table.csv:{row}" for row in range(1, NUM + 1)]
    assert_predicted(run, names, expected(run, ROWS[:, 2:], ROWS[:, :2]))
    assert_predicted(run, ["new.npz[0]", "new.npz[1]"], expected(run, ROWS[:2, 2:], ROWS[:2, :2]), "arrays.csv")


def test_without_names_the_last_array_may_be_the_label(train: Train, here: Path) -> None:
    np.savez("train.npz", x=ROWS, y=KINDS)
    run = trained(train, "data.source.file=train.npz", "model=mlp", "model.hidden=[3]")
    np.savez("unlabelled.npz", x=ROWS[:2])
    assert main(["predict", run.path.name, "train.npz", "unlabelled.npz", "-o", "out.csv"]) == 0
    names = [*(f"train.npz[{row}]" for row in range(NUM)), "unlabelled.npz[0]", "unlabelled.npz[1]"]
    assert_predicted(run, names, expected(run, np.concatenate([ROWS, ROWS[:2]])))


def test_what_leads_to_no_number_gets_no_class(train: Train, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = signal_run(train)
    damaged = SIGNALS[:5].copy()
    damaged[1, 0, 3] = np.nan
    np.save("new.npy", damaged)
    assert main(["predict", run.path.name, "new.npy", "-o", "out.csv", "--batch-size", "2"]) == 1
    assert_predicted(run, [f"new.npy[{row}]" for row in (0, 2, 3, 4)], expected(run, SIGNALS[[0, 2, 3, 4]]))
    assert "new.npy[1] leads to numbers that are not finite" in capsys.readouterr().err


def test_a_picture_with_a_pixel_that_is_no_number_gets_no_mask(train: Train, here: Path) -> None:
    images = DRAW.random((NUM, 1, 8, 8), dtype=np.float32)
    np.savez("train.npz", image=images, mask=(images[:, 0] > 0.5).astype(np.uint8))
    run = trained(
        train, "data.source.file=train.npz", "task=segmentation", "model=unet", "model.width=2", "model.levels=1"
    )
    images[0, 0, 2, 2] = np.nan
    np.save("new.npy", images[:2])
    assert main(["predict", run.path.name, "new.npy", "-o", "masks"]) == 1
    assert [path.relative_to("masks").as_posix() for path in Path("masks").rglob("*.png")] == ["new/1.png"]


def test_masks_are_written_for_the_rows_of_an_array(train: Train, here: Path) -> None:
    np.savez("train.npz", image=IMAGES, mask=(IMAGES > 128).astype(np.uint8))
    run = trained(
        train, "data.source.file=train.npz", "task=segmentation", "model=unet", "model.width=2", "model.levels=1"
    )
    np.save("new.npy", IMAGES[:2])
    assert main(["predict", run.path.name, "new.npy", "-o", "masks"]) == 0
    assert sorted(path.relative_to("masks").as_posix() for path in Path("masks").rglob("*.png")) == [
        "new/0.png",
        "new/1.png",
    ]
    classes = expected(run, IMAGES[:2, None] / np.float32(255)).argmax(1)
    np.testing.assert_array_equal(np.asarray(Image.open("masks/new/1.png")), classes[1])


BOARDS = """
import torch

class Boards(torch.utils.data.Dataset):
    classes = ["a", "b"]
    def __init__(self, tile, fit):
        self.tile = tile
    def __len__(self):
        return 24
    def __getitem__(self, index):
        return torch.full((1, self.tile, self.tile), 10 * index, dtype=torch.uint8), index % 2
"""


def test_settings_of_a_dataset_of_ones_own_mean_nothing_to_pictures(
    train: Train, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "boards_of_a_test", raising=False)
    Path("boards_of_a_test.py").write_text(BOARDS)
    Path("conf/data").mkdir()
    Path("conf/data/boards.yaml").write_text(
        "defaults: [base, _self_]\nsource: {_target_: boards_of_a_test.Boards, tile: 8, fit: true}\n"
        "channels: 1\nimage_size: [8, 8]\nnum_classes: 2\nnormalize: {mean: [0.0], std: [1.0]}\n"
    )
    run = train("data=boards", "model=convnet", "model.widths=[4]", *SMALL)
    np.save("new.npy", IMAGES[:2, None])
    assert main(["predict", run.path.name, "new.npy", "-o", "out.csv"]) == 0
    assert_predicted(run, ["new.npy[0]", "new.npy[1]"], expected(run, IMAGES[:2, None] / np.float32(255)))
    assert main(["export", run.path.name, "--format", "weights"]) == 0
    about = json.loads((run.path / "export" / "model.pt.json").read_text())
    assert about["images"] == {"tile": None, "size": [8, 8], "fit": "stretch"}


WALKS = """
import torch
from torch import nn

class Walks(torch.utils.data.Dataset):
    classes = ["a", "b"]
    def __len__(self):
        return 24
    def __getitem__(self, index):
        row = torch.zeros(9)
        row[:2 + index % 5] = 1.0 + index
        return row, index % 2

class Trimmed:
    def __call__(self, samples):
        rows = torch.stack([row for row, _ in samples])
        return rows[:, :int((rows != 0).sum(1).max())], torch.stack([target for _, target in samples])

class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.output = nn.Linear(1, 2)
    def forward(self, rows):
        assert rows.shape[1] and rows[:, -1].any(), "the last column of a batch is not padding alone"
        return self.output(rows.sum(1, keepdim=True) / (rows != 0).sum(1, keepdim=True))
"""
PADDED = """
defaults: [base, _self_]
source: {_target_: walks_of_a_test.Walks}
collate: {_target_: walks_of_a_test.Trimmed}
channels: 9
image_size: null
num_classes: 2
"""


def test_a_collate_that_cuts_off_padding_does_so_in_every_command(
    train: Train, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "walks_of_a_test", raising=False)
    Path("walks_of_a_test.py").write_text(WALKS)
    Path("conf/data").mkdir()
    Path("conf/data/walks.yaml").write_text(PADDED)
    Path("conf/model/reader.yaml").write_text("_target_: walks_of_a_test.Reader\n")
    run = train("data=walks", "model=reader", *SMALL)
    rows = np.array([[3, 0, 0, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 0, 0, 0, 0, 0]], np.float32)
    np.save("new.npy", rows)
    assert main(["predict", run.path.name, "new.npy", "-o", "out.csv"]) == 0
    with torch.no_grad():
        by_hand = bare_model(run)(torch.from_numpy(rows[:, :4])).softmax(1)
    assert_predicted(run, ["new.npy[0]", "new.npy[1]"], by_hand)
    for command in (["eval", run.path.name], ["export", run.path.name, "--format", "weights"]):
        assert main(command) == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [("picture.png", "a sample of the run is 2x16"), ("empty", "empty has no files of arrays in it")],
)
def test_what_holds_no_arrays_is_refused(
    train: Train, here: Path, given: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = signal_run(train)
    Image.fromarray(IMAGES[0]).save("picture.png")
    Path("empty").mkdir()
    assert main(["predict", run.path.name, given, "-o", "out.csv"]) == 2
    assert told in capsys.readouterr().err


def test_a_file_without_a_sample_is_told_as_that(train: Train, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = signal_run(train)
    np.save("none.npy", SIGNALS[:0])
    assert main(["predict", run.path.name, "none.npy", "-o", "out.csv"]) == 1
    assert "none.npy has no samples in it\n" in capsys.readouterr().err


def test_an_array_of_objects_is_not_unpickled(train: Train, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = signal_run(train)
    np.save("new.npy", np.array([{"a": 1}], dtype=object))
    assert main(["predict", run.path.name, "new.npy", "-o", "out.csv"]) == 1
    assert "1 could not be predicted" in capsys.readouterr().err
