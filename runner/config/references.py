"""What a composed configuration leaves open: settings without a value, and references that lead to nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.check import Path, dotted, not_set, value_at
from runner.config.leaves import leaves
from runner.config.origin import Origin
from runner.config.typed import first_line
from runner.errors import UserError, nearest


def texts_in(node: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in a nested configuration, with its path."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, Mapping | list):
        for key, item in enumerate(node) if isinstance(node, list) else node.items():
            yield from texts_in(item, (*path, key))


def missing(texts: Mapping[str, Any], origin: Origin) -> list[UserError]:
    """Every setting that waits for a value.

    Args:
        texts: The configuration with its references as they are written.
        origin: Where settings come from.
    """
    return [not_set(path, origin) for path, text in texts_in(texts) if text == "???"]


def leading_nowhere(config: DictConfig, texts: Mapping[str, Any], origin: Origin) -> list[UserError]:
    """The mistake in every reference to nothing, as ``${data.chanels}``; one that leads to another such is left out.

    Args:
        config: The configuration.
        texts: The same with its references as they are written.
        origin: Where settings come from.
    """
    references = {path: text for path, text in texts_in(texts) if "${" in text}
    reasons = {path: reason for path in references if (reason := _refusal(config, path))}
    broken = {dotted(path) for path in reasons}
    causes = [path for path in reasons if references[path][2:-1] not in broken]
    whole = [key for key in leaves(texts) if key not in broken]
    return [_mistake(path, references[path], reasons[path], whole, origin) for path in causes or reasons]


def _refusal(config: DictConfig, path: Path) -> str | None:
    """Why a node has no value, if it is a reference without one."""
    parent = value_at(config, path[:-1])
    try:
        if OmegaConf.is_interpolation(parent, path[-1]):
            parent[path[-1]]
        return None
    except OmegaConfBaseException as error:
        return first_line(error).rpartition("raised while resolving interpolation: ")[2].strip('"')


def _mistake(path: Path, reference: str, reason: str, whole: Sequence[str], origin: Origin) -> UserError:
    name = reference[2:-1]
    close = None if ":" in name or name == dotted(path) else nearest(name, whole)
    group, _, key = name.partition(".")
    lacks = origin.is_own(name.split(".")) and not origin.is_own(path)  # what shipped options have, a user's has not
    return UserError(
        f"{dotted(path)}={reference} leads nowhere: {reason}",
        where=origin.of(path),
        nearest=f"${{{close}}}" if close and not lacks else None,
        fix=f"write {key} into {origin.file_of((group,))}, or type {dotted(path)}=VALUE" if lacks else None,
    )
