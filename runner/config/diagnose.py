"""What is wrong with overrides that Hydra refused: it stops at the first mistake, so each is looked at alone."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from runner.config.catalogue import optional, single
from runner.config.check import Path, dotted, known_keys, takes_any_name, unknown_key
from runner.config.defaults import mistake
from runner.config.files import ConfigFiles
from runner.config.keys import arguments
from runner.config.leaves import leaves
from runner.config.origin import Origin
from runner.config.settle import plain, settled
from runner.config.shorthand import is_of_sweeps
from runner.config.typed import by_key, first_line, read
from runner.errors import UserError, listing, nearest


def diagnose(files: ConfigFiles, typed: Sequence[str], refusal: Exception, of_data_alone: bool) -> list[UserError]:
    """Every mistake in overrides, one or more.

    Args:
        files: What they are put together with.
        typed: The overrides.
        refusal: What Hydra raised.
        of_data_alone: Whether it does not matter what is trained on the data.
    """
    errors: list[UserError] = []
    choosing: list[str] = []
    setting: list[tuple[str, Override]] = []
    broken: set[str] = set()
    sweeping: list[tuple[str, Override, bool]] = []
    overrides, unreadable = read(typed)
    errors += unreadable
    for text, override in overrides.items():
        is_group = files.is_group(override.get_key_element().lstrip("+~"))
        if override.is_sweep_override():
            sweeping.append((text, override, is_group))
        elif is_group and not isinstance(override.value(), dict):
            wrong = _unknown_options(files, override)
            errors += wrong
            if wrong:
                broken.add(override.key_or_group)
            else:
                choosing.append(text)
        else:
            setting.append((text, override))
    try:
        base = files.load(choosing)
    except HydraException as error:
        return [*errors, mistake(files, choosing, error)]
    except OmegaConfBaseException as error:
        return [*errors, UserError(first_line(error))]
    values = plain(base, resolve=False)
    origin = Origin(files.places, files.choices(base, choosing), by_key(typed))
    for text, override, is_group in sweeping:
        errors += _several_values(files, text, override, is_group, values, origin)
    known = []
    for text, override in setting:
        path = tuple(override.key_or_group.split("."))
        if path[0] in broken:
            continue
        is_open = override.is_add() or (path[0] == "hydra" and not is_of_sweeps(text))
        problem = None if is_open else _unknown(path, override.value(), values, origin, text)
        if problem:
            errors.append(problem)
        else:
            known.append(text)
    refused = _refused_by_hydra(files, choosing, known)
    errors += refused.values()
    good = [*choosing, *(text for text in known if text not in refused)]
    others, _ = settled(files, files.load(good), good, of_data_alone)
    errors += [error for error in others if str(error) not in map(str, errors)]
    return errors or [UserError(first_line(refusal))]


def _refused_by_hydra(files: ConfigFiles, choosing: list[str], texts: list[str]) -> dict[str, UserError]:
    """What Hydra says of overrides whose keys exist, each by itself; nothing when it takes them all."""
    try:
        files.load([*choosing, *texts])
        return {}
    except (HydraException, OmegaConfBaseException):
        pass
    refused = {}
    for text in texts:
        try:
            files.load([*choosing, text])
        except (HydraException, OmegaConfBaseException) as error:
            is_there = "Could not append" in first_line(error)
            refused[text] = UserError(
                f"{text}: it is there already" if is_there else f"{text}: {first_line(error)}",
                fix=text.lstrip("+") if is_there else None,
            )
    return refused


def _several_values(
    files: ConfigFiles, text: str, override: Override, is_group: bool, values: Mapping[str, Any], origin: Origin
) -> list[UserError]:
    """What is wrong with values that are separated by commas, where one run is asked for."""
    key, _, value = text.partition("=")
    path = tuple(key.lstrip("+").split("."))
    unknown = None if is_group or override.is_add() else _unknown(path, None, values, origin, text)
    if unknown:
        return [unknown]
    if is_group and override.is_choice_sweep():
        wrong = _unknown_options(files, override)
        if wrong:
            return wrong
    is_list = isinstance(origin.choices.get(key), list) or isinstance(_at(values, path), list)
    together = f"{key}=[{value}] to have all of them, or "
    return [
        UserError(
            f"{text} is several values, and a run has one",
            where="the command line",
            fix=f"{together if is_list and override.is_choice_sweep() else ''}"
            f"runner train -m {text} to run each of them",
        )
    ]


def _unknown_options(files: ConfigFiles, override: Override) -> list[UserError]:
    group = override.key_or_group
    wanted = list(override.sweep_string_iterator()) if override.is_choice_sweep() else override.value()
    names = wanted if isinstance(wanted, list) else [wanted]
    if override.is_delete() and wanted is None:
        return []
    present = files.options(group)
    if isinstance(override.value(), list) and group in single(files.places):
        return [_one_of(group, [str(name) for name in names], present)]
    nothing = [None, "null"] if group in optional(files.places) else []
    unknown = [name for name in names if name not in nothing and str(name) not in present]
    return [_no_such_option(group, name, present) for name in unknown if not str(name).startswith("[")]


def _one_of(group: str, names: Sequence[str], present: Sequence[str]) -> UserError:
    """The mistake in a list of options of a group of which a run has one."""
    fitting = [name for name in names if name in present]
    each = f", or runner train -m {group}={','.join(fitting)} to run each of them" if len(fitting) > 1 else ""
    return UserError(
        f"{group}=[{','.join(names)}] is a list, and a run has one {group}",
        expected=listing(present),
        fix=f"{group}={fitting[0]}{each}" if fitting else None,
    )


def _no_such_option(group: str, name: object, present: Sequence[str]) -> UserError:
    close = None if name is None else nearest(str(name), present)
    own = f", or a file {group}/{name}.yaml in your own conf/" if name and isinstance(name, str) else ""
    return UserError(
        f"{group}={'null' if name is None else name}: there is no such {group}",
        expected=listing(present),
        nearest=close,
        fix=f"{group}={close}" if close else f"one of the above{own}",
    )


def _unknown(path: Path, value: Any, values: Mapping[str, Any], origin: Origin, text: str) -> UserError | None:
    """The mistake in a key that the composed configuration does not have; None if it has it.

    Args:
        path: The key.
        value: What it is set to: the keys of a mapping are looked for as well.
        values: The configuration without it.
        origin: Where settings come from.
        text: The override.
    """
    node: Any = values
    for depth, part in enumerate(path):
        if isinstance(node, list) and str(part).isdigit():
            if int(part) >= len(node):
                return UserError(
                    f"{text}: {dotted(path[:depth])} has {len(node)} entries, counted from 0",
                    fix=f"{dotted(path[:depth])}=[...], the whole list",
                )
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            return _missing(path, depth, node, values, origin, text)
    if not isinstance(node, Mapping) or not isinstance(value, Mapping):
        return None
    if node and takes_any_name(path):
        return _other_names(path, node, value, origin, text)
    inside = (_unknown((*path, str(key)), item, values, origin, text) for key, item in value.items())
    return next((problem for problem in inside if problem), None)


def _missing(path: Path, depth: int, node: Any, values: Mapping[str, Any], origin: Origin, text: str) -> UserError:
    """The mistake in a key that is not there: ``path[depth]`` is not in ``node``."""
    part = str(path[depth])
    siblings = [str(key) for key in node] if isinstance(node, Mapping) else []
    taken = arguments(node, path[:depth], origin) if isinstance(node, Mapping) else []
    known = known_keys(node, path[:depth]) if depth else set()
    if part in taken or part in known:
        return UserError(
            f"{dotted(path)} is not in {origin.file_of(path)}",
            where=f"{text} on the command line",
            fix=f"+{text}, or a line for {part} in that file",
        )
    siblings += taken
    if not depth:
        siblings = [key for key in siblings if key != "hydra"] + ["experiment"]
    siblings = sorted(set(siblings) | known) if depth else siblings
    siblings = [name for name in siblings if name != "_target_"]
    elsewhere = [key for key in leaves(values) if key.endswith(f".{part}")]
    return unknown_key(path[: depth + 1], siblings, origin, typed=text, elsewhere=elsewhere)


def _other_names(
    path: Path, node: Mapping[str, Any], value: Mapping[Any, Any], origin: Origin, text: str
) -> UserError | None:
    """What is wrong with a mapping that is typed over another one with names of its own."""
    key = dotted(path)
    new = [str(name) for name in value if str(name) not in node]
    if not new:
        return None
    return UserError(
        f"{text}: {key} is there already, with {listing(node)}, and has no {listing(new)}",
        where=origin.file_of(path),
        fix=f"{shlex.quote(f'+{text}')} to have both, or {key}=null in front of yours to have it alone",
    )


def _at(config: Any, path: Sequence[str]) -> Any:
    """What stands at a path; None if nothing does."""
    for key in path:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config
