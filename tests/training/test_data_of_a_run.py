"""From the data section of a configuration to batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.config.compose import Composer
from runner.config.paths import Places
from runner.config.schema import RunConfig
from runner.errors import UserError
from runner.training.data import Splits, load_data

Load = Callable[..., Splits]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """The data of what would be typed: ``load("data=digits", "data.folds=5", "data.fold=0")``."""
    monkeypatch.chdir(tmp_path)

    def load(*typed: str) -> Splits:
        config = RunConfig.model_validate(Composer(Places.find(None, tmp_path)).compose(typed).config)
        return load_data(config.data, config.seed, torch.device("cpu"), lambda done, total: None)

    return load


def of_epoch(splits: Splits, epoch: int = 0) -> list[int]:
    """The samples of an epoch, in their order."""
    return torch.cat([batch.indices for batch in splits.train.epoch(epoch)]).tolist()


def test_a_subset_is_all_that_is_trained_on_in_an_order_that_is_new_in_every_epoch(load: Load) -> None:
    splits = load("data.subset=[30,10,20,40,50,60]", "data.split.val=0", "data.split.test=0", "monitor=train/loss")
    epochs = [of_epoch(splits, epoch) for epoch in range(3)]
    assert all(sorted(epoch) == [10, 20, 30, 40, 50, 60] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_subset_in_sequence_comes_in_the_order_of_its_list(load: Load, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("30\n10\n20\n")
    splits = load("data.subset=rows.txt", "data.order=sequential", "data.split={val: 0, test: 0}", "monitor=train/loss")
    assert of_epoch(splits) == [30, 10, 20]


def test_sample_weights_are_how_often_a_sample_comes(load: Load, tmp_path: Path) -> None:
    weights = np.zeros(1797)
    weights[[4, 5]] = 1, 3
    np.save(tmp_path / "weights.npy", weights)
    drawn = of_epoch(
        load(
            *("data.order=weighted", "data.sample_weights=weights.npy", "data.num_samples=2000"),
            *("data.split={val: 0, test: 0}", "monitor=train/loss"),
        )
    )
    assert set(drawn) == {4, 5}
    assert drawn.count(5) / 2000 == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 2000))


def test_the_folds_of_a_sweep_cover_everything_once(load: Load) -> None:
    validated = [load("data.folds=4", f"data.fold={fold}", "data.split.test=0", "seed=9").val for fold in range(4)]
    assert sorted(np.concatenate([part.indices for part in validated if part])) == list(range(1797))


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["data.order=weighted"], "data.order=weighted needs data.class_weights or data.sample_weights"),
        (
            ["data.order=weighted", "data.class_weights=[1]", "data.sample_weights=[1]"],
            "data.class_weights and data.sample_weights are both set",
        ),
        (
            ["data.order=weighted", "data.class_weights=[1,1,1,1,1,1,1,1,1,1,1]"],
            "data.class_weights has 11 numbers, and the data 10 classes",
        ),
        (["data.sample_weights=w.txt"], "data.sample_weights has no effect for data.order=random"),
        (["data.folds=3"], "data.folds=3 needs data.fold"),
        (["data.fold=3"], "data.fold=3 needs data.folds"),
        (["data.folds=3", "data.fold=3"], "data.fold=3, but data.folds=3"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(load: Load, typed: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        load(*typed)


CROPPED = [
    *("data.load_size=[8,8]", "data.image_size=[6,6]"),
    "data.augment=[{_target_:torchvision.transforms.v2.RandomResizedCrop,size:[7,7]},"
    "{_target_:runner.data.augment.RandomCrop,size:[6,6]}]",
]


def test_training_and_evaluation_bring_images_to_the_size_of_the_model(load: Load) -> None:
    splits = load(*CROPPED, "data.eval_transforms=[{_target_:runner.data.augment.CenterCrop,size:[6,6]}]")
    assert splits.shapes == ((1, 6, 6),)
    trained = next(splits.train.epoch(0))
    assert splits.prepare(trained, 0, training=True)[0][0].shape == (64, 1, 6, 6)
    assert splits.val is not None
    evaluated = next(splits.val.epoch(0))
    plain = splits.store.batch(evaluated.indices.numpy()).inputs[0].float() / 255
    inputs = splits.prepare(evaluated)[0][0]
    torch.testing.assert_close(inputs, (plain[:, :, 1:7, 1:7] - 0.3053) / 0.3759)


def test_changes_that_give_another_size_than_the_model_is_made_for_are_refused(load: Load) -> None:
    with pytest.raises(UserError, match=r"data.eval_transforms gives images of 8 x 8, but data.image_size=\[6,6\]"):
        load(*CROPPED)


def test_torchvision_after_a_change_of_whole_batches_is_refused(load: Load) -> None:
    with pytest.raises(UserError, match=r"data.augment: torchvision's RandomRotation comes after"):
        load(
            "data.augment=[{_target_:runner.data.augment.HorizontalFlip,p:0.5},"
            "{_target_:torchvision.transforms.v2.RandomRotation,degrees:5}]"
        )


def test_a_collate_of_ones_own_is_named_in_the_configuration(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "halving.py").write_text(
        "import torch\n"
        "class Halved:\n"
        "    def __call__(self, samples):\n"
        "        return torch.stack([s[0][..., :4] for s in samples]), torch.stack([s[1] for s in samples])\n"
    )
    splits = load("data.collate={_target_:halving.Halved}", "data.image_size=[8,4]", "data.load_size=[8,8]")
    assert next(splits.train.epoch(0)).inputs[0].shape == (64, 1, 8, 4)
