"""Asking the data, before a run starts, what the rest of the configuration follows from."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.build import build
from runner.config.origin import Origin
from runner.config.paths import make_importable
from runner.errors import UserError

ASKED = ("channels", "image_size", "num_classes")


def fill_facts(config: DictConfig, origin: Origin) -> list[UserError]:
    """Check that the data is there, and replace every ``auto`` in ``config.data`` by what the data says.

    Shipped sources answer from headers and folder listings and import no torch. A source of the user's own is imported
    only if a key asks it something.
    """
    data: Any = OmegaConf.select(config, "data")
    if not isinstance(data, DictConfig) or OmegaConf.missing_keys(data):
        return []
    asked = [key for key in ASKED if data.get(key) == "auto"]
    try:
        node = OmegaConf.to_container(data.source, resolve=True)
    except OmegaConfBaseException:
        return []  # told with the other mistakes, once everything is resolved
    assert isinstance(node, dict)
    shipped = str(node.get("_target_")).startswith("runner.")
    if not (shipped or asked):
        return []
    make_importable(origin.places.import_paths)
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
            ]
        facts = source.facts() if asked else None
    except UserError as error:
        return [error]
    except (TypeError, ValueError):
        return []  # arguments of a wrong type: the schema tells which
    for key in asked:
        value = getattr(facts, key)
        data[key] = list(value) if isinstance(value, tuple) else value
    return []
