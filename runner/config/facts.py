"""Asking the data, before a run starts, what the rest of the configuration follows from."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from runner.build import ArgumentErrors, build
from runner.config.keys import stray_keys
from runner.config.origin import Origin
from runner.config.sections.data import Data
from runner.data.source import Facts
from runner.errors import UserError

STAND_INS = {"channels": 1, "image_size": [1, 1], "num_classes": 1, "num_features": 1, "num_values": 1}
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
        if key == "image_size" and facts is not None and facts.image_size and data.get("load_size") is not None:
            value = tuple(data.load_size)  # unless the changes of images change their size, which is told then
        data[key] = list(value) if isinstance(value, tuple) else value
    return errors


def _ask(data: DictConfig, asked: list[str], origin: Origin) -> tuple[list[UserError], Facts | None]:
    """What the source says; None when nothing was asked or it could not be."""
    if not isinstance(data.get("source"), DictConfig):
        return [], None  # the schema tells it
    try:
        node = OmegaConf.to_container(data.source, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException:
        return [], None  # told with the other mistakes, once everything is resolved
    assert isinstance(node, dict)
    source = {str(key): value for key, value in node.items()}
    origin.places.trust(everything=True).make_importable()
    if str(source.get("_target_")).startswith("runner."):
        return _ask_shipped(source, asked)
    return _ask_own(source, asked, origin) if asked else ([], None)


def _ask_shipped(node: dict[str, Any], asked: list[str]) -> tuple[list[UserError], Facts | None]:
    if not _is_valid(node):
        return [], None  # arguments of a wrong type: the schema tells which
    try:
        source = build(node, key="data.source")
        source.check()
        return [], source.facts() if asked else None
    except ArgumentErrors:
        return [], None  # told with the keys of all other parts
    except UserError as error:
        return [error], None


def _is_valid(node: dict[str, Any]) -> bool:
    """Whether the schema takes the arguments of a source, as far as they are known."""
    known = {key: value for key, value in node.items() if value != "auto"}
    try:
        Data.model_validate({"source": known})
    except ValidationError as error:
        return all(details["loc"][0] != "source" for details in error.errors(include_url=False))
    return True


def _ask_own(node: dict[str, Any], asked: list[str], origin: Origin) -> tuple[list[UserError], Facts | None]:
    """What a source or a Dataset of the user's says; a fault in its code shows its own traceback."""
    from runner.data.wrap import DatasetSource, as_source  # opens images: not needed for data that is shipped

    errors = stray_keys({"data": {"source": node}}, origin)
    if errors:
        return [], None  # told with the keys of all other parts
    try:
        source = as_source(build(node, key="data.source"))
        facts = source.facts()
    except UserError as error:
        return [error], None
    except Exception as error:
        error.add_note(f"raised while data.source was asked for {' and '.join(f'data.{key}' for key in asked)}")
        raise
    if "num_classes" in asked and facts.num_classes is None and isinstance(source, DatasetSource):
        return [
            UserError(
                f"data.num_classes: auto, but {node['_target_']} has no list named classes to count",
                where=origin.file_of(("data", "num_classes")),
                fix="write the number into the data option, or null where the targets are no classes",
            )
        ], None
    return [], facts
