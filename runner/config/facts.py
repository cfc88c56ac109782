"""Asking the data, before a run starts, what the rest of the configuration follows from."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.build import build
from runner.config.origin import Origin
from runner.data.source import Facts
from runner.errors import UserError

STAND_INS = {"channels": 1, "image_size": [1, 1], "num_classes": 1}
"""The keys that can be asked, each with a valid value: it takes the place of one that could not be asked, so that the
mistakes told are those that were made."""


def fill_facts(config: DictConfig, origin: Origin) -> list[UserError]:
    """Check that the data is there, and replace every ``auto`` in ``config.data`` by what the data says.

    Shipped sources answer from headers and folder listings and import no torch. A source of the user's own is imported
    only if a key asks it something.
    """
    data: Any = OmegaConf.select(config, "data")
    if not isinstance(data, DictConfig):
        return []
    asked = [key for key in STAND_INS if not OmegaConf.is_missing(data, key) and data.get(key) == "auto"]
    errors, facts = _ask(data, asked, origin)
    for key in asked:
        value = STAND_INS[key] if facts is None else getattr(facts, key)
        data[key] = list(value) if isinstance(value, tuple) else value
    return errors


def _ask(data: DictConfig, asked: list[str], origin: Origin) -> tuple[list[UserError], Facts | None]:
    """What the source says; None when nothing was asked or it could not be."""
    try:
        node = OmegaConf.to_container(data.source, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException:
        return [], None  # told with the other mistakes, once everything is resolved
    assert isinstance(node, dict)
    shipped = str(node.get("_target_")).startswith("runner.")
    if not (shipped or asked):
        return [], None
    origin.places.trust(everything=True).make_importable()
    try:
        source = build({str(key): value for key, value in node.items()})
        if shipped:
            source.check()
        if asked and not hasattr(source, "facts"):
            keys = " and ".join(f"data.{key}" for key in asked)
            return [
                UserError(
                    f"{keys}: auto, but {node['_target_']} has no facts() to ask",
                    where=origin.file_of(("data",)),
                    fix="write the numbers into the data option",
                )
            ], None
        return [], source.facts() if asked else None
    except UserError as error:
        return [error], None
    except (TypeError, ValueError):
        return [], None  # arguments of a wrong type: the schema tells which
