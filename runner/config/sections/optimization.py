"""The settings of ``optimizer`` and ``scheduler``."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from runner.config.types import BelowOne, Count, NotNegative, OneOf, Positive, Share, Target, Whole

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


class Adagrad(Target):
    target: Literal["torch.optim.Adagrad"] = Field(alias="_target_")
    lr: Positive
    lr_decay: NotNegative
    initial_accumulator_value: NotNegative
    eps: Positive
    weight_decay: NotNegative


class RAdam(Target):
    target: Literal["torch.optim.RAdam"] = Field(alias="_target_")
    lr: Positive
    betas: Betas
    eps: Positive
    weight_decay: NotNegative
    decoupled_weight_decay: bool


class NAdam(RAdam):
    target: Literal["torch.optim.NAdam"] = Field(alias="_target_")  # type: ignore[assignment]
    momentum_decay: NotNegative


class Adadelta(Target):
    target: Literal["torch.optim.Adadelta"] = Field(alias="_target_")
    lr: Positive
    rho: BelowOne
    eps: Positive
    weight_decay: NotNegative


class Muon(Target):
    target: Literal["runner.training.muon.Muon"] = Field(alias="_target_")
    lr: Positive
    momentum: BelowOne
    nesterov: bool
    ns_steps: Count
    betas: Betas
    eps: Positive
    weight_decay: NotNegative


AnyOptimizer = Annotated[Target, OneOf(SGD, Adam, RMSprop, Adagrad, NAdam, RAdam, Adadelta, Muon)]


class Schedule(Target):
    """A shipped schedule."""

    needs_end: ClassVar[bool] = False
    """Whether rates of the past would have been others, had other epochs been planned."""


class ConstantSchedule(Schedule):
    target: Literal["runner.training.schedules.Constant"] = Field(alias="_target_")


class StepSchedule(Schedule):
    target: Literal["runner.training.schedules.Step"] = Field(alias="_target_")
    epochs: Positive
    gamma: Annotated[Positive, Field(le=1)]


class MultiStepSchedule(Schedule):
    target: Literal["runner.training.schedules.MultiStep"] = Field(alias="_target_")
    milestones: Annotated[list[NotNegative], Field(min_length=1)]
    gamma: Annotated[Positive, Field(le=1)]


class ExponentialSchedule(Schedule):
    target: Literal["runner.training.schedules.Exponential"] = Field(alias="_target_")
    gamma: Annotated[Positive, Field(le=1)]


class CosineSchedule(Schedule):
    needs_end = True
    target: Literal["runner.training.schedules.Cosine"] = Field(alias="_target_")
    warmup_epochs: NotNegative
    final: Share


class OneCycleSchedule(Schedule):
    needs_end = True
    target: Literal["runner.training.schedules.OneCycle"] = Field(alias="_target_")
    rise: Share
    start: Share
    final: Share
    anneal: Literal["cosine", "linear"]


class PlateauSchedule(Schedule):
    target: Literal["runner.training.schedules.Plateau"] = Field(alias="_target_")
    factor: Annotated[Positive, Field(lt=1)]
    patience: Whole
    min_delta: NotNegative
    cooldown: Whole
    final: Share


_SCHEDULES = (
    ConstantSchedule,
    StepSchedule,
    MultiStepSchedule,
    ExponentialSchedule,
    CosineSchedule,
    OneCycleSchedule,
    PlateauSchedule,
)
AnySchedule = Annotated[Target, OneOf(*_SCHEDULES)]
OPEN_ENDED = tuple(
    target for cls in _SCHEDULES if not cls.needs_end for target in get_args(cls.model_fields["target"].annotation)
)
"""Schedules that do not ask how many epochs are planned."""
