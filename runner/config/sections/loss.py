"""The settings of ``loss``, and the tasks that each loss is for."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from runner.config.types import Int, Node, NotNegative, OneOf, Positive, Share, Target


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
    target: Literal["runner.losses.NLLLoss"] = Field(alias="_target_")
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


class FocalLoss(Loss):
    tasks = ("classification", "segmentation")
    target: Literal["runner.losses.FocalLoss"] = Field(alias="_target_")
    gamma: NotNegative
    weight: list[NotNegative] | None
    ignore_index: Int


class BinaryFocalLoss(Loss):
    tasks = ("binary", "multilabel")
    target: Literal["runner.losses.BinaryFocalLoss"] = Field(alias="_target_")
    gamma: NotNegative
    alpha: Share | None


_SINGLE = (PlainLoss, HuberLoss, BCELoss, NLLLoss, CrossEntropyLoss, DiceLoss, FocalLoss, BinaryFocalLoss)
SingleLoss = Annotated[Target, OneOf(*_SINGLE)]


class Term(Node):
    weight: NotNegative
    loss: SingleLoss


class WeightedSum(Target):
    target: Literal["runner.losses.WeightedSum"] = Field(alias="_target_")
    terms: Annotated[dict[str, Term], Field(min_length=1)]


AnyLoss = Annotated[Target, OneOf(*_SINGLE, WeightedSum)]


def single_losses(loss: Target) -> dict[tuple[str, ...], Target]:
    """The losses that a weighted sum adds up, by their paths in the configuration; of any other loss, that one."""
    if not isinstance(loss, WeightedSum):
        return {("loss",): loss}
    return {("loss", "terms", name, "loss"): term.loss for name, term in loss.terms.items()}
