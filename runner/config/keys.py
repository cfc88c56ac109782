"""Which keys may stand beside a ``_target_``.

A shipped option has exactly the keys of its file. What a file of the user's says is held to the signature of the
target: any class or function can be named there, with any argument that it takes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.build import OWN_KEYS, locate, misused, told
from runner.config.check import Path, dotted, not_set, unknown_key
from runner.config.origin import Origin
from runner.config.sections.model import AnyModel
from runner.config.types import shipped_keys
from runner.errors import UserError

_GIVEN: dict[Path, int] = {("optimizer",): 1}
"""How many arguments the program itself passes first, by the node: an optimizer takes the parameters."""
_RESERVED: dict[Path, frozenset[str]] = {("model",): AnyModel.reserved}
"""Keys that no target is called with."""


def stray_keys(config: Mapping[str, Any], origin: Origin) -> list[UserError]:
    """Every key beside a ``_target_`` that does not belong there, and every one that lacks.

    A target of a shipped option is not imported; one of the user's own is, with all that its module imports.
    """
    return [
        error for path, node, is_inside in _targets(config, (), False) for error in _of(path, node, is_inside, origin)
    ]


def arguments(node: Mapping[str, Any], path: Path, origin: Origin) -> list[str]:
    """What may stand beside the ``_target_`` of a node of the user's own; empty for other nodes.

    Args:
        node: The node.
        path: Where it stands.
        origin: Where settings come from.
    """
    known = shipped_keys(node.get("_target_"))
    if "_target_" not in node or (known is not None and not origin.is_own((*path, "_target_"))):
        return []
    try:
        return sorted(misused(_imported(node, path, origin), ["_"], _GIVEN.get(path, 0), is_partial=True)[0].taken)
    except (UserError, IndexError):
        return []


def _of(path: Path, node: Mapping[str, Any], is_inside: bool, origin: Origin) -> list[UserError]:
    """What is wrong with one node.

    Args:
        path: Where it stands.
        node: With its ``_target_``.
        is_inside: Whether it stands in a node that is held to a signature.
        origin: Where settings come from.
    """
    known = shipped_keys(node["_target_"])
    reserved = _RESERVED.get(path, frozenset())
    given = [str(key) for key in node if key not in OWN_KEYS and key not in reserved]
    if known is None or is_inside or origin.is_own((*path, "_target_")):
        return _misuses(path, node, given, origin)
    strange = [key for key in given if key not in known]
    own = [key for key in strange if origin.is_own((*path, key))]
    refused = [unknown_key((*path, key), sorted(known), origin) for key in strange if key not in own]
    refused += [not_set((*path, key), origin) for key in sorted(known - reserved) if key not in given]
    return refused or (_misuses(path, node, given, origin) if own else [])


def _misuses(path: Path, node: Mapping[str, Any], given: Sequence[str], origin: Origin) -> list[UserError]:
    target = str(node["_target_"])
    try:
        factory = _imported(node, path, origin)
    except UserError as error:
        return [error.at(origin.of((*path, "_target_")))]
    found = misused(factory, given, _GIVEN.get(path, 0), bool(node.get("_partial_")))
    return [
        told(one, dotted(path), target, origin.of((*path, "_target_" if one.is_missing else one.name))) for one in found
    ]


def _imported(node: Mapping[str, Any], path: Path, origin: Origin) -> Any:
    target = str(node["_target_"])
    origin.places.trust(everything=True).make_importable()
    try:
        return locate(target)
    except UserError:
        raise
    except Exception as error:  # a fault in the user's code: its traceback is theirs to see
        error.add_note(f"raised while {dotted(path)}._target_ was being imported: {target}")
        raise


def _targets(value: Any, path: Path, is_inside: bool) -> Iterator[tuple[Path, Mapping[str, Any], bool]]:
    """Every node with a ``_target_``, and whether it stands in a target that is not shipped."""
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str):
            yield path, value, is_inside
            is_inside = is_inside or shipped_keys(value["_target_"]) is None
        for key, item in value.items():
            yield from _targets(item, (*path, key), is_inside)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _targets(item, (*path, number), is_inside)
