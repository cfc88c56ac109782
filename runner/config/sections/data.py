"""The settings of ``data``: where samples come from and how they become batches."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from runner.config.types import (
    Count,
    Float,
    Int,
    Node,
    NotNegative,
    OneOf,
    Positive,
    Share,
    Size,
    Target,
    Whole,
    Workers,
)

Channels = Literal[1, 3, 4]
Column = str | Whole
Fit = Literal["stretch", "crop"]


def _a_character(text: str) -> str:
    if text != r"\t" and (len(text) != 1 or text in '"\r\n'):
        raise PydanticCustomError("one_character", "one character, such as , or ; or \\t")
    return text


Delimiter = Annotated[str, AfterValidator(_a_character)]


class Digits(Target):
    target: Literal["runner.data.sources.digits.Digits"] = Field(alias="_target_")


class Shapes(Target):
    target: Literal["runner.data.sources.shapes.Shapes"] = Field(alias="_target_")
    count: Count
    seed: Whole
    max_shapes: Count
    noise: NotNegative
    channels: Channels


class Downloaded(Target):
    target: Literal[
        "runner.data.sources.idx.MNIST",
        "runner.data.sources.idx.FashionMNIST",
        "runner.data.sources.cifar.CIFAR10",
    ] = Field(alias="_target_")
    root: str
    download: bool


class CsvImages(Target):
    target: Literal["runner.data.sources.csv_images.CsvImages"] = Field(alias="_target_")
    csv: str
    val_csv: str | None
    test_csv: str | None
    root: str | None
    image_column: Column
    label_column: Column | Annotated[list[Column], Field(min_length=1)]
    feature_columns: list[Column]
    split_column: Column | None
    delimiter: Delimiter
    header: bool
    extension: str | None
    classes: list[str | int] | None
    task: str
    channels: Channels
    fit: Fit


class ImageFolder(Target):
    target: Literal["runner.data.sources.image_folder.ImageFolder"] = Field(alias="_target_")
    root: str
    channels: Channels
    fit: Fit


class MaskFolder(Target):
    target: Literal["runner.data.sources.mask_folder.MaskFolder"] = Field(alias="_target_")
    images: str
    masks: str
    mask_values: list[Whole] | None
    class_names: list[str]
    tile: Size | None
    channels: Channels
    fit: Fit


class ArrayIn(Node):
    file: str
    name: Column | list[Column]


class Tensors(Target):
    target: Literal["runner.data.sources.tensors.Tensors"] = Field(alias="_target_")
    file: str
    inputs: Annotated[list[Column | list[Column] | ArrayIn], Field(min_length=1)] | None
    label: Column | list[Column] | ArrayIn | None
    val_file: str | None
    test_file: str | None
    split: Column | None
    task: str
    classes: list[str | int] | None
    delimiter: Delimiter


class Flip(Target):
    target: Literal["runner.data.augment.HorizontalFlip", "runner.data.augment.VerticalFlip"] = Field(alias="_target_")
    p: Share


class QuarterTurns(Target):
    target: Literal["runner.data.augment.QuarterTurns"] = Field(alias="_target_")


class Shift(Target):
    target: Literal["runner.data.augment.Shift"] = Field(alias="_target_")
    pixels: Whole
    padding: Literal["zeros", "reflection"]


class Rotate(Target):
    target: Literal["runner.data.augment.Rotate"] = Field(alias="_target_")
    degrees: NotNegative
    padding: Literal["zeros", "border", "reflection"]


class Crop(Target):
    target: Literal["runner.data.augment.RandomCrop", "runner.data.augment.CenterCrop"] = Field(alias="_target_")
    size: Size


class ColorJitter(Target):
    target: Literal["runner.data.augment.ColorJitter"] = Field(alias="_target_")
    brightness: NotNegative
    contrast: NotNegative
    saturation: NotNegative


class Split(Node):
    val: Whole | Share | Literal["test"]
    test: Whole | Share | None
    seed: Whole
    stratify: bool | None


Change = Annotated[Target, OneOf(Flip, QuarterTurns, Shift, Rotate, Crop, ColorJitter)]


class Normalize(Node):
    mean: list[Float]
    std: list[Positive]


class Data(Node):
    source: Annotated[Target, OneOf(Digits, Shapes, Downloaded, CsvImages, ImageFolder, MaskFolder, Tensors)]
    channels: Count
    image_size: Size | None
    num_classes: Count | None
    num_features: Count | None
    num_values: Count | None
    folds: Annotated[Int, Field(ge=2)] | None
    fold: Whole | None
    subset: Annotated[list[Whole], Field(min_length=1)] | str | None
    batch_size: Count
    eval_batch_size: Count
    order: Literal["random", "sequential", "balanced", "weighted"]
    class_weights: list[NotNegative] | None
    sample_weights: Annotated[list[NotNegative], Field(min_length=1)] | str | None
    num_samples: Count | None
    replacement: bool
    drop_last: bool
    cache: Literal["auto", "memory", "disk", "none"]
    cache_dir: str | None
    workers: Workers
    prefetch_factor: Count
    persistent_workers: bool
    pin_memory: bool | None
    timeout: NotNegative
    split: Split
    augment: list[Change]
    eval_transforms: list[Change]
    load_size: Size | None
    collate: Target | None
    normalize: Normalize | Literal["auto"] | None
