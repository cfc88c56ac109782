"""The layers of a model by their names."""

from torch import nn

from runner.errors import UserError, listing, nearest


def layer_called(model: nn.Module, name: str, where: str) -> nn.Module:
    """The layer of that dotted name.

    Raises:
        UserError: If there is none, with the nearest name.
    """
    layers: dict[str, nn.Module] = dict(model.named_modules())
    if name and name in layers:
        return layers[name]
    names = [known for known in layers if known]
    close = nearest(name, names)
    raise UserError(
        f"{where}: the model has no layer {name}",
        expected=f"a name that runner summary shows: {listing(names)}",
        nearest=close,
    )
