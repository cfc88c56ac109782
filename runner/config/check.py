"""Checking a composed configuration against the schema, and telling every mistake in it."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runner.config.origin import GLOBAL, Origin
from runner.config.schema import RunConfig
from runner.config.types import shipped_keys
from runner.errors import UserError, nearest

Path = tuple[str | int, ...]

_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "finite_number": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "list_type": "a list, such as [1,2]",
    "bool_for_number": "a number",
    "none_required": "null",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of {ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of {le} or less",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "a name of letters, digits and _",
    "union_tag_invalid": "{expected_tags}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "model_type": "a node with keys of its own",
    "model_attributes_type": "a node with keys of its own",
    "dict_type": "a node with keys of its own",
}


def mistakes(config: Mapping[str, Any], origin: Origin, schema: type[BaseModel] = RunConfig) -> list[UserError]:
    """Every value that the schema does not allow, and every key that it does not know or lacks.

    Which keys may stand beside a ``_target_`` is for ``runner.config.keys`` to say.
    """
    try:
        schema.model_validate(config)
    except ValidationError as error:
        by_path: dict[Path, list[ErrorDetails]] = {}
        for details in error.errors(include_url=False):
            by_path.setdefault(_path_in(config, details), []).append(details)
        return [_mistake(config, path, found, origin) for path, found in by_path.items()]
    return []


def as_read(config: Mapping[str, Any]) -> dict[str, Any]:
    """A valid configuration with its values as they are meant: 2 for ``2.0`` or ``"2"``, where a whole number is."""
    read = RunConfig.model_validate(config).model_dump(by_alias=True, exclude_unset=True)
    return {key: _in_order(value, read[key]) for key, value in config.items()}


def _in_order(given: Any, read: Any) -> Any:
    if isinstance(given, Mapping):
        return {key: _in_order(value, read[key]) for key, value in given.items()}
    if isinstance(given, list):
        return [_in_order(one, other) for one, other in zip(given, read, strict=True)]
    return read


def _path_in(config: Mapping[str, Any], details: ErrorDetails) -> Path:
    """Where an error lies in the configuration: pydantic's location without the names of the alternatives it tried."""
    path: list[str | int] = []
    node: Any = config
    parts = details["loc"]
    for number, part in enumerate(parts):
        inside = isinstance(node, Mapping) and part in node
        inside = inside or (isinstance(node, Sequence) and not isinstance(node, str) and isinstance(part, int))
        if inside:
            node = node[part]
            path.append(part)
        elif details["type"] == "missing" and number == len(parts) - 1:
            path.append(part)
    return tuple(path)


def _mistake(config: Mapping[str, Any], path: Path, found: list[ErrorDetails], origin: Origin) -> UserError:
    key = dotted(path)
    types = {details["type"] for details in found}
    if "extra_forbidden" in types:
        if len(path) == 1 and key in origin.choices and (misplaced := _misplaced(key, config[key], origin)):
            return misplaced
        if "." in str(path[-1]) and origin.is_own(path):
            return _not_nested(path, value_at(config, path), origin)
        return unknown_key(path, _siblings(found, path, config), origin)
    if types == {"missing"}:
        return not_set(path, origin, is_in_file=False)
    value = value_at(config, path)
    expected = [_expected(details) for details in found if details["type"] != "missing"]
    return UserError(
        f"{key}={_shown(value)} is not valid",
        where=origin.of(path),
        expected=", or ".join(dict.fromkeys(expected)),
        nearest=_nearest_literal(value, found),
        fix=_as_choice(key, value, origin) or (_as_text(key, value, origin) if "string_type" in types else None),
    )


def _as_choice(key: str, value: Any, origin: Origin) -> str | None:
    """How a file chooses an option, where it says ``model: lenet`` as one does on the command line."""
    if key not in origin.choices or not isinstance(value, str) or not origin.places.file_of(key, value):
        return None
    return f"override /{key}: {value} in the defaults list of that file"


def _not_nested(path: Path, value: Any, origin: Origin) -> UserError:
    """The mistake in a key of a file that is written with points, as it is typed."""
    *groups, last = str(path[-1]).split(".")
    nested = "".join(f"{group}: {{" for group in groups) + f"{last}: {_shown(value)}" + "}" * len(groups)
    return UserError(f"{path[-1]} is a key of a command line", where=origin.of(path), fix=f"{nested} in a file")


def _as_text(key: str, value: Any, origin: Origin) -> str | None:
    """How a number is typed, or written into a file, where a text is meant."""
    if not isinstance(value, int | float):  # a bool is an int
        return None
    typed = origin.typed.get(key)
    return shlex.quote(f'{key}="{typed.partition("=")[2]}"') if typed else f'quotes around it: "{_shown(value)}"'


def not_set(path: Path, origin: Origin, is_in_file: bool = True) -> UserError:
    """A setting that has no value; one that no file has cannot be typed without a plus."""
    where, fix = origin.of(path), f"{dotted(path)}=VALUE"
    if not is_in_file and where == origin.file_of(path):  # and nothing that was typed has taken it out
        fix = f"a line for {path[-1]} in that file, or +{fix}"
    return UserError(f"{dotted(path)} is not set", where=where, expected="a value", fix=fix)


def _misplaced(group: str, found: object, origin: Origin) -> UserError | None:
    """The mistake in an option, such as an experiment, whose file does not say that its keys are those of the run."""
    keys = [key for key in found if origin.is_own((group, key))] if isinstance(found, Mapping) else []
    if found and not keys:
        return None
    sets = f"sets {group}.{keys[0]}, which is not a setting" if keys else "sets nothing"
    return UserError(
        f"{group}={origin.choice(group)} {sets}",
        where=origin.file_of((group,)),
        fix=f"{GLOBAL} as the first line of that file, or of the one that it starts from",
    )


def unknown_key(
    path: Path, siblings: Sequence[str], origin: Origin, typed: str | None = None, elsewhere: Sequence[str] = ()
) -> UserError:
    """A key that nothing reads: the names beside it that exist, and the one that was probably meant.

    Args:
        path: The key.
        siblings: The keys that exist where it was looked for.
        origin: Where settings come from.
        typed: The override, when it was typed.
        elsewhere: Keys of the same name in other places.
    """
    close = nearest(str(path[-1]), siblings)
    likely = dotted((*path[:-1], close)) if close else next(iter(elsewhere), None)
    return UserError(
        f"{dotted(path)} is not a setting" + origin.owner(path),
        where=f"{typed} on the command line" if typed else origin.of(path),
        expected=", ".join(sorted(siblings)) or "nothing: there are no settings here",
        nearest=close or likely,
        fix=f"{likely}=..." if likely else None,
    )


def dotted(path: Path) -> str:
    """A path as it is typed: ``optimizer.betas.0``."""
    return ".".join(str(part) for part in path)


def _siblings(found: list[ErrorDetails], path: Path, config: Mapping[str, Any]) -> list[str]:
    parent = value_at(config, path[:-1])
    extra = {str(path[-1])}
    known = known_keys(parent, path[:-1])
    return sorted((known or {key for key in parent if isinstance(key, str)}) - extra - {"_target_"})


def known_keys(node: Any, path: Path) -> set[str]:
    """The keys that the schema has at a path of the configuration, as far as it says."""
    if isinstance(node, Mapping) and "_target_" in node:
        return set(shipped_keys(node["_target_"]) or ())
    # Validating a node that is empty lists what it lacks: exactly its keys.
    return {str(found[-1]) for found, kind in _probed(path, {}) if kind == "missing" and found[:-1] == path}


def takes_any_name(path: Path) -> bool:
    """Whether the keys at a path of the configuration are names that somebody chose, such as those of layers."""
    name = "?"  # with a value that nothing takes: its name is refused where keys are known, and else the value
    return any(found == (*path, name) and kind != "extra_forbidden" for found, kind in _probed(path, {name: object()}))


def _probed(path: Path, node: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Where the schema refuses a configuration that has nothing but a node at a path, and how."""
    probe: Mapping[str, Any] = node
    for part in reversed(path):
        probe = {str(part): probe}
    try:
        RunConfig.model_validate(probe)
    except ValidationError as error:
        return [(_path_in(probe, details), details["type"]) for details in error.errors(include_url=False)]
    return []


def allowed(config: dict[str, Any], path: Path, schema: type[BaseModel] = RunConfig) -> list[str]:
    """The words that a setting may be, as they are typed; none where it may be anything, or the schema has it not.

    Args:
        config: A configuration that has the setting; written over.
        path: Of the setting.
        schema: Of the configuration.
    """
    value_at(config, path[:-1])[path[-1]] = object()  # nothing that may stand there
    try:
        schema.model_validate(config)
    except ValidationError as error:
        found = [details for details in error.errors(include_url=False) if _path_in(config, details) == path]
        kinds = {details["type"] for details in found}
        others = {"bool_type": ["false", "true"], "none_required": ["null"]}
        return [word for kind, words in others.items() if kind in kinds for word in words] + _literals(found)
    return []


def value_at(config: Any, path: Path) -> Any:
    """What stands at a path of the configuration."""
    for part in path:
        config = config[part]
    return config


def _expected(details: ErrorDetails) -> str:
    template = _EXPECTED.get(details["type"])
    return template.format(**details.get("ctx", {})).replace("'", "") if template else details["msg"]


def _nearest_literal(value: Any, found: list[ErrorDetails]) -> str | None:
    return nearest(str(value), _literals(found))


def _literals(found: list[ErrorDetails]) -> list[str]:
    """The words of which a value has to be one."""
    return [
        choice.strip("'")
        for details in found
        if details["type"] == "literal_error"
        for choice in details["ctx"]["expected"].replace(" or ", ", ").split(", ")
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
