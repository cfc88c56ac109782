"""The settings of ``model``, and what each shipped model can be used for."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from runner.config.types import Count, OneOf, Share, Size, Target, Whole
from runner.models.choices import ActivationName, PoolName


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


class TorchvisionModel(Model):
    option = "torchvision"
    tasks = (*Model.tasks, "segmentation")
    target: Literal["runner.models.vision.torchvision_model"] = Field(alias="_target_")
    name: str
    image_size: Size | None


MODELS: dict[str, type[Model]] = {
    target: model
    for model in (MLP, LeNet, ConvNet, UNet, TorchvisionModel)
    for target in get_args(model.model_fields["target"].annotation)
}
"""The shipped models, by their ``_target_``."""

OneModel = Annotated[AnyModel, OneOf(*MODELS.values(), own=AnyModel)]
