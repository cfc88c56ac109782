"""Turning a configuration node with a ``_target_`` into the object that it names."""

import functools
import importlib
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from runner.errors import UserError, UserErrors, listing, nearest

T = TypeVar("T")

OWN_KEYS = ("_target_", "_partial_")
"""Those of a node that are no arguments."""


def locate(target: str) -> Any:
    """The class or function that a dotted name such as ``torch.optim.Adam`` stands for.

    Raises:
        UserError: If the module cannot be found, or has nothing of that name.
    """
    parts = target.split(".")
    if not all(part.isidentifier() for part in parts):
        raise UserError(f"_target_: {target} is not a dotted name", expected="module.name, such as torch.nn.Linear")
    for split in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:split])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # A module that exists but fails to import something else is the user's own traceback to see.
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            continue
        for name in parts[split:]:
            if not hasattr(found, name):
                raise _module(target) or UserError(
                    f"_target_: {target} does not exist: {module_name} has no {name}",
                    nearest=nearest(name, dir(found)),
                )
            found = getattr(found, name)
            if inspect.ismodule(found):  # torch.os.system is not torch's: what a module imports is no part of it
                raise _module(target) or UserError(
                    f"_target_: {target} does not exist: {name} is no part of {module_name}"
                )
        if not callable(found):
            raise UserError(f"_target_: {target} is no class or function, but {type(found).__name__}")
        return found
    raise _module(target) or UserError(
        f"_target_: {target} cannot be imported: there is no module {parts[0]}",
        expected="module.name with a module that is installed, or that lies in the current directory",
        fix="start runner in the directory of your code",
    )


def _module(target: str) -> UserError | None:
    """The mistake in a name that is that of a module."""
    try:
        is_module = importlib.util.find_spec(target) is not None
    except (
        ImportError,
        ValueError,
    ):  # what it would be in is none; or what is imported says nothing of where it is from
        return None
    if not is_module:
        return None
    return UserError(f"_target_: {target} is a module", expected=f"a class or function in it: {target}.NAME")


def build(node: Mapping[str, Any], *args: Any, key: str = "", **extra: Any) -> Any:
    """Call the ``_target_`` of a node with its other keys; nested nodes are built first.

    With ``_partial_: true`` the result is the callable with the keys already bound.

    Args:
        node: The node.
        *args: What the target takes before its keys.
        key: Where the node stands in the configuration, for messages.
        **extra: What it takes beside its keys.

    Raises:
        ArgumentErrors: If the target does not take these keys, or needs others.
        UserError: If there is no such target.
        Exception: Whatever the target raises, with a note that says which node was being built.
    """
    kwargs = {name: _build_value(value, _below(key, name)) for name, value in node.items() if name not in OWN_KEYS}
    factory = locate(node["_target_"])
    is_partial = bool(node.get("_partial_"))
    found = misused(factory, [*kwargs, *extra], len(args), is_partial)
    if found:
        raise ArgumentErrors([told(one, key, node["_target_"]) for one in found])
    if is_partial:
        return functools.partial(factory, *args, **kwargs, **extra)
    try:
        return factory(*args, **kwargs, **extra)
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note(f"raised while {key or 'a node'} was being built: _target_: {node['_target_']}")
        raise


def build_a(kind: type[T], node: Mapping[str, Any], *args: Any, key: str, expected: str) -> T:
    """As ``build``, where only one kind of object will do.

    Args:
        kind: What it has to be an instance of.
        node: As for ``build``.
        *args: As for ``build``.
        key: As for ``build``.
        expected: The kind in words, for a message.

    Raises:
        UserError: If it is something else; and what ``build`` raises.
    """
    built = build(node, *args, key=key)
    if not isinstance(built, kind):
        raise UserError(f"{key}: {node['_target_']} gives a {type(built).__name__}", expected=expected)
    return built


class ArgumentErrors(UserErrors):
    """A target does not take the keys beside it, or needs others."""


@dataclass(frozen=True, slots=True)
class Misuse:
    """An argument that a target does not take, or one that it needs and does not get.

    Args:
        name: Of the argument.
        is_missing: Whether it is needed.
        taken: The names of all arguments that can be given.
    """

    name: str
    is_missing: bool
    taken: tuple[str, ...]


def misused(factory: Any, names: Sequence[str], num_args: int = 0, is_partial: bool = False) -> list[Misuse]:
    """What is wrong with calling something with these keywords, after so many arguments without a name.

    Nothing, where Python does not know the signature, as of some functions written in C.
    """
    try:
        parameters = list(inspect.signature(factory).parameters.values())[num_args:]
    except (TypeError, ValueError):
        return []
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    taken = tuple(p.name for p in named)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    strange = [] if takes_any else [name for name in names if name not in taken]
    needed = [] if is_partial else [p.name for p in named if p.default is p.empty and p.name not in names]
    return [Misuse(name, False, taken) for name in strange] + [Misuse(name, True, taken) for name in needed]


def told(misuse: Misuse, key: str, target: str, where: str | None = None) -> UserError:
    """A misuse in words.

    Args:
        misuse: What is wrong.
        key: The node, such as ``model``.
        target: Its ``_target_``.
        where: What the argument, or the node that lacks it, comes from.
    """
    full = _below(key, misuse.name)
    if misuse.is_missing:
        given = _CALLED_WITH.get(key)
        return UserError(
            f"{full} is not set, and {target} needs it",
            where=where,
            expected=f"a value; or a class of yours, whose object is then called with {given}" if given else "a value",
            fix=None if given else f"+{full}=VALUE",
        )
    close = nearest(misuse.name, misuse.taken)
    return UserError(
        f"{full} is not an argument of {target}",
        where=where,
        expected=listing(sorted(misuse.taken)) or "nothing: it takes no arguments",
        nearest=close,
        fix=f"{close} in place of {misuse.name}" if close else None,
    )


_CALLED_WITH = {
    "loss": "the outputs and the targets",
    "scheduler": "the epochs trained so far and the epochs planned",
}
"""Nodes in whose place people name a function, or a class of torch, that takes what training gives."""


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _build_value(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return build(value, key=key)
        return {name: _build_value(item, _below(key, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_build_value(item, _below(key, number)) for number, item in enumerate(value)]
    return value
