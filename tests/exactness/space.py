"""The configurations that tests of exactness draw from.

To have something new tested, add a row, or an alternative to a row: what a user would type for it. Everything that
draws at random, the property tests and the killing of runs, takes a model and one alternative from each row. The
current folder must hold what ``write_pictures`` makes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

T = TypeVar("T")

Typed = list[str]
Choose = Callable[[Sequence[T]], T]

ALWAYS = ["device=cpu", "data.eval_batch_size=1000", "tracking.progress=false"]

DIGITS = ["data.split.test=1640", "data.split.val=60"]
"""97 digits to train on."""
PETITE_SHAPES = [
    *("data=shapes", "data.source.count=60", "data.image_size=[16,16]"),
    *("data.split.test=10", "data.split.val=10"),
]
"""40 drawings to train on."""

PICTURES = [
    *("data=csv_images", "data.source.csv=pictures/label.csv", "data.cache_dir=kept"),
    *("data.split.test=10", "data.split.val=10"),
]
"""40 image files to train on, which ``write_pictures`` makes."""

CLASSIFIERS: dict[str, Typed] = {
    "mlp": [*DIGITS, "model=mlp", "model.hidden=[8]"],
    "mlp with dropout": [*DIGITS, "model=mlp", "model.hidden=[8]", "model.dropout=0.5"],
    # Convolutions in fp16 take a hundred times as long on most CPUs.
    "mlp with dropout in fp16": [
        *(*DIGITS, "model=mlp", "model.hidden=[8]", "model.dropout=0.5"),
        "device.precision=fp16",
    ],
    "lenet": [*DIGITS, "model=lenet", "data=digits_32"],
    "convnet with batch norm and dropout": [
        *(*DIGITS, "model=convnet", "data=digits", "model.widths=[4,4]"),
        *("model.batch_norm=true", "model.dropout=0.2"),
    ],
    "multiscale": [*DIGITS, "model=multiscale", "model.width=3", "model.scales=2", "model.activation=squareplus"],
    "layers whose size depends on the data": [*DIGITS, "model=sequential"],
    "convnet with an auxiliary output and a frozen block": [
        *(*DIGITS, "model=convnet", "data=digits", "model.widths=[4,4]"),
        *("adapt.outputs={block2.conv1: {weight: 0.3}}", "adapt.freeze=[block1.*]"),
    ],
    "convnet on files": [*PICTURES, "model=convnet", "model.widths=[4]"],
}

SEGMENTERS: dict[str, Typed] = {
    "unet": [*PETITE_SHAPES, "model=unet", "model.width=2", "model.levels=1", "model.dropout=0.2"],
}

FOR_EVERY_TASK: dict[str, list[Typed]] = {
    "length": [["epochs=2"], ["epochs=3"], ["epochs=4", "max_steps=11"]],
    "batch size": [["data.batch_size=16"], ["data.batch_size=7"], ["data.batch_size=40"]],
    "last batch": [[], ["data.drop_last=true"]],
    "optimizer": [
        [],
        ["optimizer=adamw"],
        ["optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true"],
        ["optimizer=rmsprop", "optimizer.momentum=0.5"],
        ["optimizer=adagrad", "optimizer.lr_decay=0.1"],
        ["optimizer=nadam"],
        ["optimizer=radam"],
        ["optimizer=adadelta"],
        ["optimizer=adamw", "regularization.norms_and_biases=false"],
    ],
    "scheduler": [
        [],
        ["scheduler=step", "scheduler.epochs=1", "scheduler.gamma=0.5"],
        ["scheduler=cosine", "scheduler.warmup_epochs=0.5"],
        ["scheduler=one_cycle"],
        ["scheduler=exponential", "training.lr_every=epoch"],
        ["scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5", "monitor=train/loss"],
    ],
    "rates by weight": [[], ["adapt.lr_factors={*.bias: 2, *.weight: 0.5}"]],
    "accumulation": [[], ["training.accumulate=2"], ["training.accumulate=3"]],
    "precision": [[], ["device.precision=bf16"]],
    "clipping": [[], ["regularization.clip_norm=0.5"]],
    "early stopping": [[], ["regularization.early_stopping.patience=1"]],
    "penalties": [[], ["regularization.l1=0.0001", "regularization.l2=0.001"]],
    "averaged weights": [[], ["regularization.ema.decay=0.8"]],
    "augmentation": [
        [],
        ["data.augment=[{_target_:runner.data.augment.Shift,pixels:1,padding:zeros}]"],
        [
            "data.augment=[{_target_:runner.data.augment.HorizontalFlip,p:0.5},"
            "{_target_:runner.data.augment.Rotate,degrees:20,padding:border}]"
        ],
        [
            "data.augment=[{_target_:torchvision.transforms.v2.RandomVerticalFlip},"
            "{_target_:torchvision.transforms.v2.RandomAffine,degrees:9},"
            "{_target_:runner.data.augment.ColorJitter,brightness:0.3,contrast:0.3,saturation:0}]"
        ],
    ],
    "validation": [[], ["data.split.val=0"]],
    "monitor": [[], ["monitor=train/loss"]],
    "test": [[], ["training.test=false"]],
    "loss that is not finite": [[], ["training.nonfinite=skip"]],
    "checkpoints after epochs": [[], ["checkpoint.every_epochs=2"]],
    "checkpoints within epochs": [[], ["checkpoint.every_steps=1"], ["checkpoint.every_steps=3"]],
    "retention": [
        [],
        ["checkpoint.keep_last=1", "checkpoint.keep_best=2"],
        ["checkpoint.keep_last=3", "checkpoint.keep_every=2"],
    ],
    "training curve": [["tracking.log_every=1"], ["tracking.log_every=2"], ["tracking.log_every=50"]],
    "tensorboard": [[], ["tracking.images=0", "tracking.graph=false"], ["tracking.tensorboard=false"]],
}

ONLY_FOR_CLASSES: dict[str, list[Typed]] = {
    "optimizer": [*FOR_EVERY_TASK["optimizer"], ["optimizer=muon", "optimizer.ns_steps=2"]],
    "order": [
        [],
        ["data.order=sequential"],
        ["data.order=balanced"],
        ["data.order=weighted", "data.class_weights=[1,2,3,4,5,5,4,3,2,1]", "data.num_samples=75"],
    ],
    "metrics": [[], ["task.metrics=[auroc,calibration_error,cohen_kappa]"]],
    "blending": [
        [],
        ["regularization.mixup.alpha=0.4"],
        ["regularization.cutmix.alpha=1"],
        ["regularization.mixup.alpha=0.4", "regularization.cutmix.alpha=1"],
    ],
}

ONLY_FOR_FILES: dict[str, list[Typed]] = {
    "cache": [[], ["data.cache=disk"], ["data.cache=none"]],
    "normalisation": [[], ["data.normalize=auto"]],
}


def write_pictures(folder: Path) -> None:
    """Make pictures/ in a folder: 60 image files of ten classes and the table that names them."""
    (folder / "pictures").mkdir()
    generator = np.random.default_rng(0)
    rows = ["image,label"]
    for number in range(60):
        Image.fromarray(generator.integers(0, 256, (8, 8), np.uint8)).save(folder / "pictures" / f"{number}.png")
        rows.append(f"{number}.png,{number % 10}")
    (folder / "pictures" / "label.csv").write_text("\n".join(rows))


def drawn(choose: Choose[tuple[str, Typed]], pick: Choose[Typed]) -> Typed:
    """What would be typed for a configuration.

    Args:
        choose: Takes one of several models.
        pick: Takes one alternative of a row.
    """
    models = {**CLASSIFIERS, **SEGMENTERS}
    name, model = choose(list(models.items()))
    table = FOR_EVERY_TASK | (ONLY_FOR_CLASSES if name in CLASSIFIERS else {})
    table |= ONLY_FOR_FILES if model[: len(PICTURES)] == PICTURES else {}
    return [*ALWAYS, *model, *(text for alternatives in table.values() for text in pick(alternatives))]
