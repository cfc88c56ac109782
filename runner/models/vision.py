"""The models of torchvision, by name: for any number of channels and of outputs.

Importing this module imports torchvision, which takes seconds; the names are known without it, in ``models.choices``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision import models

from runner.errors import UserError, nearest
from runner.models.blocks import convolution_like
from runner.models.choices import SEGMENTATION_NAMES, VISION_NAMES


def torchvision_model(*, name: str, channels: int, outputs: int, image_size: Sequence[int] | None) -> nn.Module:
    """A model of torchvision with first weights of its own, (N, channels, H, W) to logits.

    Logits are (N, outputs), or (N, outputs, H, W) of a segmentation model. Layers and weights have torchvision's names.
    Where images have other than 3 channels, the first convolution is made anew for them, with torch's own first
    weights. Auxiliary classifiers are left out: ``adapt.outputs`` adds such.

    Args:
        name: As ``torchvision.models.get_model`` takes it.
        channels: Image channels.
        outputs: Number of logits, at each pixel for segmentation.
        image_size: (height, width); vision transformers and maxvit are made for it, the others do not look at it.

    Raises:
        UserError: If there is no such model, or it cannot be made for that size.
    """
    known = (*VISION_NAMES, *SEGMENTATION_NAMES)
    if name not in known:
        raise UserError(f"model.name={name} is not a model of torchvision", nearest=nearest(name, known))
    try:
        model: nn.Module = models.get_model(name, weights=None, num_classes=outputs, **_settings(name, image_size))
    except (AssertionError, ValueError) as error:
        size = " x ".join(map(str, image_size or ()))
        raise UserError(
            f"model.name={name} cannot be made for images of {size} pixels",
            where=f"torchvision says: {error}",
            fix="data.image_size=[224,224]",
        ) from error
    if channels != 3:
        _take_channels(model, channels)
    if name in SEGMENTATION_NAMES:
        model.register_forward_hook(_logits)
    return model


def _settings(name: str, image_size: Sequence[int] | None) -> dict[str, Any]:
    """What some models need to be told beside the number of outputs."""
    if name in SEGMENTATION_NAMES:
        # Else torchvision fetches weights for a part of the model.
        return {"weights_backbone": None, **({} if name.startswith("lraspp") else {"aux_loss": False})}
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    if image_size is not None and name.startswith("vit_"):
        height, width = image_size
        if height != width:
            raise ValueError("images must be square")
        return {"image_size": height}
    if image_size is not None and name.startswith("maxvit_"):
        return {"input_size": tuple(image_size)}
    return {}


def _take_channels(model: nn.Module, channels: int) -> None:
    """Make the first convolution, which sees the image, anew for so many channels."""
    name, old = next((name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d))
    model.set_submodule(name, convolution_like(old, channels))


def _logits(model: nn.Module, inputs: tuple[Tensor, ...], outputs: Mapping[str, Tensor]) -> Tensor:
    """Of what a segmentation model gives, the logits of each pixel."""
    return outputs["out"]
