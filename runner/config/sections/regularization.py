"""The settings of ``regularization``."""

from runner.config.types import BelowOne, Count, Node, NotNegative, Positive


class EarlyStopping(Node):
    patience: Count | None
    min_delta: NotNegative


class Averaging(Node):
    decay: BelowOne | None


class Blending(Node):
    alpha: Positive | None


class Regularization(Node):
    clip_norm: Positive | None
    l1: Positive | None
    l2: Positive | None
    norms_and_biases: bool
    ema: Averaging
    mixup: Blending
    cutmix: Blending
    early_stopping: EarlyStopping
