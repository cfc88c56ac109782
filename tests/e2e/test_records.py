"""What a completed run has written down: a table for pandas, and one TensorBoard folder with everything in it."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams
from terminal import Trained

from runner.cli import main

LENET = ["model=lenet", "epochs=2", "data.batch_size=200", "tracking.log_every=2", "scheduler=cosine"]
"""Seven updates an epoch."""
UNET = ["model=unet", "model.width=4", "model.levels=1", "data.source.count=40", "epochs=2", "data.batch_size=14"]
"""28 training pictures of shapes: two updates an epoch."""


def completed(folder: Path, *typed: str) -> Iterator[Trained]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "run_dir=run", *typed]) == 0
    yield Trained(folder / "run")


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A LeNet after two epochs of digits."""
    yield from completed(tmp_path_factory.mktemp("lenet"), *LENET)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A U-Net after two epochs of shapes."""
    yield from completed(tmp_path_factory.mktemp("unet"), *UNET)


def board_of(run: Trained) -> EventAccumulator:
    """The run's events as TensorBoard reads them."""
    everything = {"scalars": 0, "images": 0, "histograms": 0}
    return EventAccumulator(str(run.path / "tensorboard"), size_guidance=everything).Reload()


def table_of(run: Trained) -> pd.DataFrame:
    return pd.read_csv(run.path / "metrics.csv")


def test_the_metrics_have_a_row_an_epoch_and_one_for_the_test(lenet: Trained) -> None:
    table = table_of(lenet)
    names = [f"{split}/{name}" for split in ("train", "val", "test") for name in ("loss", "accuracy", "f1")]
    assert list(table) == ["epoch", "step", "lr", *names, "seconds"]
    assert len(table) == 3
    assert table.epoch[:2].tolist() == [1, 2]
    assert table.step[:2].tolist() == [7, 14]
    assert table["val/loss"].notna().tolist() == table["train/loss"].notna().tolist() == [True, True, False]
    assert table["test/loss"].notna().tolist() == [False, False, True]


def test_accuracies_are_numbers_of_right_answers_over_the_samples(lenet: Trained) -> None:
    table = table_of(lenet)
    for column, samples in (("train/accuracy", 1257), ("val/accuracy", 270), ("test/accuracy", 270)):
        right = table[column].dropna() * samples
        assert right.tolist() == pytest.approx([round(count) for count in right], abs=1e-6)


def test_the_final_figures_are_those_of_the_best_epoch_and_its_test(lenet: Trained) -> None:
    table = table_of(lenet)
    best = table.loc[table["val/accuracy"].idxmax()]
    expected = {name: best[name] for name in table if name.startswith(("train/", "val/"))}
    expected |= {name: table[name].iloc[-1] for name in table if name.startswith("test/")}
    assert lenet.figures == pytest.approx(expected, abs=1e-12)
    assert table.epoch.iloc[-1] == best.epoch == lenet.status["best_epoch"]


def test_tensorboard_has_the_curves_of_both_splits_as_the_table_has_them(lenet: Trained) -> None:
    board, table = board_of(lenet), table_of(lenet)[:2]
    for tag in (f"{split}/{name}" for split in ("train", "val") for name in ("loss", "accuracy", "f1")):
        events = board.Scalars(tag)
        assert [event.step for event in events] == [7, 14]
        assert [event.value for event in events] == pytest.approx(table[tag].tolist(), rel=1e-6)


def test_tensorboard_has_the_learning_rate_and_the_loss_within_the_epochs(lenet: Trained) -> None:
    board = board_of(lenet)
    rates = board.Scalars("lr")
    assert [event.step for event in rates] == [2, 4, 6, 8, 10, 12, 14]
    # Half a cosine over 14 updates, each with the rate of where it starts.
    cosine = [0.001 * (1 + torch.cos(torch.tensor(torch.pi * (step - 1) / 14)).item()) / 2 for step in range(2, 15, 2)]
    assert [event.value for event in rates] == pytest.approx(cosine, rel=1e-5)
    assert [event.step for event in board.Scalars("train/loss_step")] == [event.step for event in rates]


def test_tensorboard_has_the_graph_the_inputs_and_a_histogram_of_every_parameter_and_gradient(lenet: Trained) -> None:
    board = board_of(lenet)
    layers = {node.name.partition("[")[2].partition("]")[0] for node in board.Graph().node}
    assert layers >= {"conv1", "pool1", "conv2", "pool2", "flatten", "linear1", "linear2", "output"}
    assert [event.step for event in board.Images("train/inputs")] == [0]
    weights = torch.load(lenet.path / "checkpoints" / "last.pt", weights_only=True)["model"]
    tags = {f"{kind}/{name}" for kind in ("parameters", "gradients") for name in weights}
    assert len(tags) == 2 * 10
    assert set(board.Tags()["histograms"]) == tags
    for tag in tags:
        first, last = board.Histograms(tag)
        assert (first.step, last.step) == (7, 14)
        assert last.histogram_value.num == weights[tag.partition("/")[2]].numel()
    for name, tensor in weights.items():
        histogram = board.Histograms(f"parameters/{name}")[-1].histogram_value
        assert (histogram.min, histogram.max) == pytest.approx((tensor.min().item(), tensor.max().item()), rel=1e-6)


def test_tensorboard_has_the_settings_and_the_final_metrics_in_the_same_file(lenet: Trained) -> None:
    assert len(list((lenet.path / "tensorboard").rglob("*"))) == 1
    board = board_of(lenet)
    start = board.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    settings = hparams.parse_session_start_info_plugin_data(start).hparams
    assert settings["optimizer.lr"].number_value == 0.001
    assert settings["model._target_"].string_value == "runner.models.lenet.LeNet"
    assert settings["model"].string_value == "lenet"
    for name, value in lenet.figures.items():
        (event,) = board.Scalars(f"final/{name}")
        assert event.value == pytest.approx(value, rel=1e-6)


def test_segmentation_has_masks_after_every_epoch_and_the_dice_of_each_class(unet: Trained) -> None:
    board = board_of(unet)
    assert [event.step for event in board.Images("val/masks")] == [2, 4]
    by_class = [name for name in unet.figures if name.startswith("test/dice_")]
    assert by_class == ["test/dice_background", "test/dice_shape"]
    assert {name for name in board.Tags()["scalars"] if "dice_" in name} == {
        f"{part}{split}/{name.removeprefix('test/')}"
        for part, splits in (("", ("train", "val")), ("final/", ("train", "val", "test")))
        for split in splits
        for name in by_class
    }
