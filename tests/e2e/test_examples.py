"""The examples of a report: what they say is what the run's own evaluation says, sample by sample and all together."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from terminal import Trained

from runner.build import build
from runner.deploy.examples import Example, Examples
from runner.deploy.make_examples import make_examples
from runner.errors import UserError
from runner.runs.checkpoints import read_checkpoint
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.trust import Trust

Train = Callable[..., Trained]

SMALL = ("epochs=2", "max_steps=4", "tracking.tensorboard=false", "data.batch_size=4")
PETS = ("data=csv_images", "model=convnet", "model.widths=[4]", "data.source.csv=pets/label.csv", *SMALL)


def examples_of(run: Trained, count: int = 50) -> Examples:
    return make_examples(RunDirectory(run.path), Trust((Path.cwd(),)), Console(stream=io.StringIO()), count)


def pixels(example: Example, title: str = "image") -> np.ndarray:
    """A picture of an example in the size of its data: pictures are enlarged by a whole factor."""
    picture = np.asarray(Image.open(io.BytesIO(dict(example.pictures)[title])))
    assert picture.shape == (64, 64, 3)
    return picture


def test_classes_are_those_of_the_evaluation(train: Train, tiny_pictures: Path) -> None:
    run = train(*PETS, "data.split.test=0.5")
    found = examples_of(run)
    wrong = round((1 - run.figures["test/accuracy"]) * 6)
    assert (found.split, found.count, found.told) == ("test", 6, f"{wrong} of 6 are wrong")
    assert [example.is_right for example in found.first].count(False) == wrong
    assert found.epoch == run.status["best_epoch"]
    assert found.worst == ()  # all six are among the first


def test_each_example_is_its_sample_with_what_the_plain_model_says_of_it(train: Train, tiny_pictures: Path) -> None:
    run = train(*PETS, "data.split.test=0.5", "data.normalize=null", "optimizer.lr=0.1")
    config = RunDirectory(run.path).config()["model"]
    net = build({key: value for key, value in config.items() if not key.startswith("weights")})
    net.load_state_dict(read_checkpoint(run.path / "checkpoints" / "best.pt")["model"])
    for example in examples_of(run).first:
        truth = ("cat", "dog")[example.number % 2]
        stored = np.asarray(Image.open(Path("pets") / truth / f"{example.number}.png"))
        np.testing.assert_array_equal(pixels(example)[::4, ::4], stored)
        with torch.no_grad():
            shares = net.eval()(torch.from_numpy(stored.transpose(2, 0, 1).copy())[None] / 255).softmax(1)[0]
        assert (example.truth, example.predicted) == (str(example.number % 2), str(int(shares.argmax())))
        assert example.score == f"{100 * shares.max():.0f} %"


def test_the_worst_are_those_that_it_is_surest_of_and_wrong(train: Train) -> None:
    run = train("max_steps=10", "tracking.tensorboard=false", "model.hidden=[16]")
    found = examples_of(run, 5)
    assert (found.count, len(found.first)) == (256, 5)
    assert [example.is_right for example in found.worst] == [False] * 5
    sure = [int(example.score.removesuffix(" %")) for example in found.worst]
    assert sure == sorted(sure, reverse=True)
    everything = examples_of(run, 256)
    rest = [example for example in everything.first[5:] if not example.is_right]
    assert sure[0] == max(int(example.score.removesuffix(" %")) for example in rest)


def test_binary_classes_and_labels_are_told(train: Train, tiny_pictures: Path) -> None:
    binary = examples_of(train(*PETS, "task=binary", "data.split.test=0.5"))
    assert {(example.truth, example.is_right) for example in binary.first} <= {
        ("0", True), ("0", False), ("1", True), ("1", False),
    }  # fmt: skip
    assert all((example.truth == example.predicted) == example.is_right for example in binary.first)
    assert all(50 <= int(example.score.removesuffix(" %")) <= 100 for example in binary.first)
    labels = examples_of(train(*PETS, "task=multilabel", "data.source.label_column=[wet,dark]", "data.split.test=0.5"))
    for example in labels.first:
        wet, dark = example.number // 2 % 2, example.number // 3 % 2
        assert example.truth == (", ".join(["wet"] * wet + ["dark"] * dark) or "none")
        assert (example.truth == example.predicted) == example.is_right


def test_values_are_off_by_the_mean_error_of_the_evaluation(train: Train, tiny_pictures: Path) -> None:
    run = train(*PETS, "task=regression", "data.source.label_column=weight", "data.split.test=0.5")
    found = examples_of(run)
    off = float(found.told.removeprefix("off by ").removesuffix(" on average"))
    assert off == pytest.approx(run.figures["test/mae"], rel=1e-3)
    for example in found.first:
        assert float(example.truth) == pytest.approx(example.number / 8, rel=1e-3)
        assert example.is_right is None


def test_masks_stand_beside_their_pictures_and_count_as_the_evaluation_counts(
    train: Train, tiny_pictures: Path
) -> None:
    run = train(
        "data=mask_folder", "data.source.images=cells/image", "data.source.masks=cells/label", "model=unet",
        "model.width=4", "model.levels=2", "data.split.test=0.5", *SMALL,
    )  # fmt: skip
    found = examples_of(run)
    share = float(found.told.partition(" %")[0])
    assert share == pytest.approx(100 * run.figures["test/accuracy"], abs=0.06)
    assert [name for name, _ in found.legend] == ["0", "1"]
    for example in found.first:
        stored = np.asarray(Image.open(Path("cells/label") / f"{example.number}.png"))
        truth, guess = (pixels(example, title)[::2, ::2].any(axis=2) for title in ("true", "predicted"))
        np.testing.assert_array_equal(truth, stored == 255)
        assert example.score == f"{100 * (truth == guess).mean():.1f} % of the pixels"


def test_without_a_test_split_the_validation_split_is_looked_at(train: Train, tiny_pictures: Path) -> None:
    found = examples_of(train(*PETS, "data.split.test=0", "data.split.val=0.5"))
    assert (found.split, found.count) == ("val", 6)


def test_rows_of_a_table_have_no_pictures(train: Train, tiny_pictures: Path) -> None:
    found = examples_of(
        train("data=tensors", "data.source.file=pets/table.csv", "model=mlp", "model.hidden=[3]", *SMALL)
    )
    assert {example.pictures for example in found.first} == {()}


def test_code_of_others_is_not_run_and_data_that_is_gone_is_told(train: Train, tiny_pictures: Path) -> None:
    run = train(*PETS)
    (tiny_pictures / "pets" / "label.csv").unlink()
    with pytest.raises(UserError, match=r"pets/label\.csv cannot be read: No such file"):
        examples_of(run)
    config = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(config.replace("runner.models.convnet.ConvNet", "subprocess.Popen"))
    with pytest.raises(UserError, match=r"model\._target_: subprocess\.Popen is not run"):
        examples_of(run)
