"""References in a composed configuration, such as ``${data.channels}``, that lead to nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.check import Path, dotted, value_at
from runner.config.leaves import leaves
from runner.config.origin import Origin
from runner.config.typed import first_line
from runner.errors import UserError, nearest


def nodes_of(parent: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The path of every node with the node that it stands in; references are not followed."""
    for key in range(len(parent)) if isinstance(parent, ListConfig) else parent:
        here = (*path, key)
        yield here, parent
        is_written_out = not OmegaConf.is_missing(parent, key) and not OmegaConf.is_interpolation(parent, key)
        if is_written_out and OmegaConf.is_config(parent[key]):
            yield from nodes_of(parent[key], here)


def leading_nowhere(nodes: Sequence[tuple[Path, Any]], texts: Mapping[str, Any], origin: Origin) -> list[UserError]:
    """The mistake in every reference to nothing; one that leads to another such reference is left out.

    Args:
        nodes: Of the configuration.
        texts: The configuration with its references as they are written.
        origin: Where settings come from.
    """
    reasons = {path: reason for path, parent in nodes if (reason := _refusal(parent, path[-1]))}
    references = {path: str(value_at(texts, path)) for path in reasons}
    broken = {dotted(path) for path in reasons}
    causes = [path for path, reference in references.items() if reference[2:-1] not in broken]
    return [_mistake(path, references[path], reasons[path], texts, origin) for path in causes or reasons]


def _refusal(parent: Any, key: str | int) -> str | None:
    """Why a node has no value, if it is a reference without one."""
    try:
        if OmegaConf.is_interpolation(parent, key):
            parent[key]
        return None
    except OmegaConfBaseException as error:
        return first_line(error).rpartition("raised while resolving interpolation: ")[2].strip('"')


def _mistake(path: Path, reference: str, reason: str, texts: Mapping[str, Any], origin: Origin) -> UserError:
    name = reference[2:-1]
    close = None if ":" in name else nearest(name, leaves(texts))
    return UserError(
        f"{dotted(path)}={reference} leads nowhere: {reason}",
        where=origin.of(path),
        nearest=f"${{{close}}}" if close and close != name else None,
    )
