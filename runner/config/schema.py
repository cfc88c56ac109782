"""The types and ranges of every setting that is shipped.

Values and their comments stand in ``conf/``; nothing here has a default. A key that is not named here is refused,
except beside a ``_target_`` that a file of the user's names, whose arguments that target knows: see ``config.keys``.
"""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from runner.config.types import (
    BelowOne,
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
)
from runner.models.choices import ActivationName, LayerType, PoolName

TaskName = Literal["classification", "binary", "multilabel", "regression", "segmentation"]


class Task(Node):
    name: TaskName
    outputs: Count


# --- data -------------------------------------------------------------------------------------------------------------

Channels = Literal[1, 3, 4]


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
    root: str | None
    image_column: str | Whole
    label_column: str | Whole
    delimiter: Annotated[str, Field(min_length=1, max_length=1)]
    header: bool
    extension: str | None
    classes: list[str | int] | None
    channels: Channels


class ImageFolder(Target):
    target: Literal["runner.data.sources.image_folder.ImageFolder"] = Field(alias="_target_")
    root: str
    channels: Channels


class MaskFolder(Target):
    target: Literal["runner.data.sources.mask_folder.MaskFolder"] = Field(alias="_target_")
    images: str
    masks: str
    mask_values: list[Whole] | None
    class_names: list[str]
    tile: Size | None
    channels: Channels


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


class Split(Node):
    val: Whole | Share | Literal["test"]
    test: Whole | Share | None
    seed: Whole
    stratify: bool | None


class Normalize(Node):
    mean: list[Float]
    std: list[Positive]


class Data(Node):
    source: Annotated[Target, OneOf(Digits, Shapes, Downloaded, CsvImages, ImageFolder, MaskFolder)]
    channels: Count
    image_size: Size | None
    num_classes: Count | None
    batch_size: Count
    eval_batch_size: Count
    order: Literal["random", "sequential", "balanced", "weighted"]
    class_weights: list[NotNegative] | None
    num_samples: Count | None
    replacement: bool
    drop_last: bool
    cache: Literal["auto", "memory", "disk", "none"]
    cache_dir: str | None
    workers: Whole
    prefetch_factor: Count
    persistent_workers: bool
    pin_memory: bool
    timeout: NotNegative
    split: Split
    augment: list[Annotated[Target, OneOf(Flip, QuarterTurns, Shift, Rotate)]]
    normalize: Normalize | Literal["auto"] | None


# --- models -----------------------------------------------------------------------------------------------------------


class Model(Target):
    """A shipped model, and what it can be used for."""

    option: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("classification", "binary", "multilabel", "regression")
    needs_images: ClassVar[bool] = True
    smallest_image: ClassVar[int] = 1

    channels: Count
    outputs: Count


class MLP(Model):
    option = "mlp"
    needs_images = False
    target: Literal["runner.models.mlp.MLP"] = Field(alias="_target_")
    image_size: Size | None
    hidden: list[Count]
    activation: ActivationName
    output_activation: ActivationName
    dropout: Share


class LeNet(Model):
    option = "lenet"
    smallest_image = 12
    target: Literal["runner.models.lenet.LeNet"] = Field(alias="_target_")
    image_size: Size | None
    activation: ActivationName
    pool: PoolName


class ConvNet(Model):
    option = "convnet"
    target: Literal["runner.models.convnet.ConvNet"] = Field(alias="_target_")
    widths: Annotated[list[Count], Field(min_length=1)]
    activation: ActivationName
    batch_norm: bool
    dropout: Share


class UNet(Model):
    option = "unet"
    tasks = ("segmentation",)
    target: Literal["runner.models.unet.UNet"] = Field(alias="_target_")
    width: Count
    levels: Whole
    activation: ActivationName
    batch_norm: bool
    dropout: Share


MODELS: dict[str, type[Model]] = {
    target: model
    for model in (MLP, LeNet, ConvNet, UNet)
    for target in get_args(model.model_fields["target"].annotation)
}
"""The shipped models, by their ``_target_``."""


class ConstantFill(Node):
    method: Literal["constant"]
    val: Float


class UniformFill(Node):
    method: Literal["uniform"]
    a: Float
    b: Float


class NormalFill(Node):
    method: Literal["normal"]
    mean: Float
    std: NotNegative


class TruncatedNormalFill(Node):
    method: Literal["truncated_normal"]
    mean: Float
    std: Positive
    a: Float
    b: Float


class GainFill(Node):
    method: Literal["xavier_uniform", "xavier_normal", "orthogonal"]
    gain: Positive


class KaimingFill(Node):
    method: Literal["kaiming_uniform", "kaiming_normal"]
    nonlinearity: Literal["relu", "leaky_relu", "selu", "tanh", "sigmoid", "linear"]
    a: NotNegative
    mode: Literal["fan_in", "fan_out"]


class SparseFill(Node):
    method: Literal["sparse"]
    sparsity: Share
    std: Positive


class EyeFill(Node):
    method: Literal["eye"]


class DiracFill(Node):
    method: Literal["dirac"]
    groups: Count


Fill = Annotated[
    ConstantFill
    | UniformFill
    | NormalFill
    | TruncatedNormalFill
    | GainFill
    | KaimingFill
    | SparseFill
    | EyeFill
    | DiracFill,
    Field(discriminator="method"),
]


class InitRule(Node):
    layers: list[LayerType]
    names: list[str]
    weight: Fill | None
    bias: Float | None


# --- losses -----------------------------------------------------------------------------------------------------------


class Loss(Target):
    """A shipped loss, and the tasks whose targets it takes."""

    tasks: ClassVar[tuple[str, ...]]


class PlainLoss(Loss):
    tasks = ("regression", "binary", "multilabel")
    target: Literal["torch.nn.L1Loss", "torch.nn.MSELoss"] = Field(alias="_target_")


class HuberLoss(Loss):
    tasks = ("regression", "binary", "multilabel")
    target: Literal["torch.nn.HuberLoss"] = Field(alias="_target_")
    delta: Positive


class BCELoss(Loss):
    tasks = ("binary", "multilabel")
    target: Literal["torch.nn.BCEWithLogitsLoss"] = Field(alias="_target_")
    pos_weight: list[NotNegative] | None


class NLLLoss(Loss):
    tasks = ("classification", "segmentation")
    target: Literal["torch.nn.NLLLoss"] = Field(alias="_target_")
    weight: list[NotNegative] | None
    ignore_index: Int


class CrossEntropyLoss(Loss):
    tasks = ("classification", "segmentation")
    target: Literal["torch.nn.CrossEntropyLoss"] = Field(alias="_target_")
    weight: list[NotNegative] | None
    ignore_index: Int
    label_smoothing: Share


class DiceLoss(Loss):
    tasks = ("segmentation",)
    target: Literal["runner.losses.DiceLoss"] = Field(alias="_target_")
    smooth: Positive
    include_background: bool
    ignore_index: Int


SingleLoss = Annotated[Target, OneOf(PlainLoss, HuberLoss, BCELoss, NLLLoss, CrossEntropyLoss, DiceLoss)]


class Term(Node):
    weight: NotNegative
    loss: SingleLoss


class WeightedSum(Target):
    target: Literal["runner.losses.WeightedSum"] = Field(alias="_target_")
    terms: Annotated[dict[str, Term], Field(min_length=1)]


# --- optimization -----------------------------------------------------------------------------------------------------

Betas = Annotated[list[BelowOne], Field(min_length=2, max_length=2)]


class SGD(Target):
    target: Literal["torch.optim.SGD"] = Field(alias="_target_")
    lr: Positive
    momentum: BelowOne
    nesterov: bool
    weight_decay: NotNegative


class Adam(Target):
    target: Literal["torch.optim.Adam", "torch.optim.AdamW"] = Field(alias="_target_")
    lr: Positive
    betas: Betas
    eps: Positive
    weight_decay: NotNegative


class RMSprop(Target):
    target: Literal["torch.optim.RMSprop"] = Field(alias="_target_")
    lr: Positive
    alpha: BelowOne
    eps: Positive
    momentum: BelowOne
    weight_decay: NotNegative


class ConstantSchedule(Target):
    target: Literal["runner.training.schedules.Constant"] = Field(alias="_target_")


class StepSchedule(Target):
    target: Literal["runner.training.schedules.Step"] = Field(alias="_target_")
    epochs: Positive
    gamma: Annotated[Positive, Field(le=1)]


class CosineSchedule(Target):
    target: Literal["runner.training.schedules.Cosine"] = Field(alias="_target_")
    warmup_epochs: NotNegative
    final: Share


class EarlyStopping(Node):
    patience: Count | None
    min_delta: NotNegative


class Averaging(Node):
    decay: BelowOne | None


class Mixup(Node):
    alpha: Positive | None


class Regularization(Node):
    clip_norm: Positive | None
    ema: Averaging
    mixup: Mixup
    early_stopping: EarlyStopping


# --- the rest of a run ------------------------------------------------------------------------------------------------


class Device(Node):
    kind: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    channels_last: bool | Literal["auto"]
    compile: bool
    cuda_graph: bool
    deterministic: bool
    threads: Count | None


class Training(Node):
    accumulate: Count
    nonfinite: Literal["stop", "skip"]
    test: bool


class Checkpoint(Node):
    every_epochs: Count
    every_steps: Count | None
    every_minutes: Positive | None
    keep_last: Count
    keep_best: Count
    keep_every: Count | None


class Tracking(Node):
    log_every: Count
    tensorboard: bool
    images: Annotated[Whole, Field(le=64)]
    histograms_every: Count | None
    graph: bool
    progress: bool | Literal["auto"]


class RunConfig(Node):
    """One run, complete: what ``config.yaml`` of a run directory holds."""

    task: Task
    data: Data
    model: Annotated[Target, OneOf(*MODELS.values())]
    init: dict[str, InitRule]
    loss: Annotated[Target, OneOf(PlainLoss, HuberLoss, BCELoss, NLLLoss, CrossEntropyLoss, DiceLoss, WeightedSum)]
    optimizer: Annotated[Target, OneOf(SGD, Adam, RMSprop)]
    scheduler: Annotated[Target, OneOf(ConstantSchedule, StepSchedule, CosineSchedule)]
    regularization: Regularization
    device: Device
    name: Annotated[str, Field(min_length=1)]
    seed: Whole
    epochs: Count
    max_steps: Count | None
    monitor: str
    output_root: str
    run_dir: str | None
    training: Training
    checkpoint: Checkpoint
    tracking: Tracking
