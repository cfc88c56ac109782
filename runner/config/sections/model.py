"""The settings of ``model``, and what each shipped model can be used for."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from runner.config.types import Count, OneOf, Share, Size, Target, Whole
from runner.models.choices import ActivationName, PoolName


def odd(value: int) -> int:
    """The value, if it is odd: an even kernel would shorten what it goes along."""
    if value % 2 == 0:
        raise PydanticCustomError("even", "an odd number")
    return value


class AnyModel(Target):
    """What every model has, the user's own as well."""

    reserved = frozenset({"weights", "weights_except"})

    weights: str | None
    weights_except: list[str]


class Model(AnyModel):
    """A shipped model, and what it can be used for."""

    option: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("classification", "binary", "multilabel", "regression")
    needs_images: ClassVar[bool] = True
    smallest_image: ClassVar[int] = 1


class ForChannels(Model):
    """A model that is made for so many channels."""

    channels: Count
    outputs: Count


class MLP(ForChannels):
    option = "mlp"
    needs_images = False
    target: Literal["runner.models.mlp.MLP"] = Field(alias="_target_")
    image_size: Size | None
    hidden: list[Count]
    activation: ActivationName
    output_activation: ActivationName
    dropout: Share


class LeNet(ForChannels):
    option = "lenet"
    smallest_image = 12
    target: Literal["runner.models.lenet.LeNet"] = Field(alias="_target_")
    image_size: Size | None
    activation: ActivationName
    pool: PoolName


class ConvNet(ForChannels):
    option = "convnet"
    target: Literal["runner.models.convnet.ConvNet"] = Field(alias="_target_")
    widths: Annotated[list[Count], Field(min_length=1)]
    activation: ActivationName
    batch_norm: bool
    dropout: Share


class MultiScaleNet(ForChannels):
    option = "multiscale"
    target: Literal["runner.models.multiscale.MultiScaleNet"] = Field(alias="_target_")
    width: Count
    scales: Count
    activation: ActivationName
    batch_norm: bool


class UNet(ForChannels):
    option = "unet"
    tasks = ("segmentation",)
    target: Literal["runner.models.unet.UNet"] = Field(alias="_target_")
    width: Count
    levels: Whole
    activation: ActivationName
    batch_norm: bool
    dropout: Share


class TorchvisionModel(ForChannels):
    option = "torchvision"
    tasks = (*Model.tasks, "segmentation")
    target: Literal["runner.models.vision.torchvision_model"] = Field(alias="_target_")
    name: str
    image_size: Size | None


class ConvNet1d(Model):
    option = "convnet1d"
    needs_images = False
    target: Literal["runner.models.convnet1d.ConvNet1d"] = Field(alias="_target_")
    outputs: Count
    widths: Annotated[list[Count], Field(min_length=1)]
    kernel_size: Annotated[Count, AfterValidator(odd)]
    activation: ActivationName
    batch_norm: bool
    dropout: Share


class TwoInputConvNet(ForChannels):
    option = "two_input_convnet"
    target: Literal["runner.models.two_input_convnet.TwoInputConvNet"] = Field(alias="_target_")
    widths: Annotated[list[Count], Field(min_length=1)]
    features: Count | None
    feature_width: Count
    hidden: Count
    activation: ActivationName
    batch_norm: bool
    dropout: Share


class Sequential(Model):
    option = "sequential"
    tasks = (*Model.tasks, "segmentation")
    needs_images = False
    target: Literal["runner.models.sequential.Sequential"] = Field(alias="_target_")
    layers: Annotated[list[Target], Field(min_length=1)]


MODELS: dict[str, type[Model]] = {
    target: model
    for model in (MLP, LeNet, ConvNet, ConvNet1d, TwoInputConvNet, MultiScaleNet, UNet, Sequential, TorchvisionModel)
    for target in get_args(model.model_fields["target"].annotation)
}
"""The shipped models, by their ``_target_``."""

OneModel = Annotated[AnyModel, OneOf(*MODELS.values(), own=AnyModel)]
