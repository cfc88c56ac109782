"""The settings of ``optimizer`` and ``scheduler``."""

from typing import Annotated, Literal

from pydantic import Field

from runner.config.types import BelowOne, NotNegative, Positive, Share, Target

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
