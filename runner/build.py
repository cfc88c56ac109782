"""Turning a configuration node with a ``_target_`` into the object that it names."""

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from runner.errors import UserError, nearest


def locate(target: str) -> Any:
    """The class or function that a dotted name such as ``torch.optim.Adam`` stands for.

    Raises:
        UserError: If the module cannot be found, or has nothing of that name.
    """
    parts = target.split(".")
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
                raise UserError(
                    f"_target_: {target} does not exist: {module_name} has no {name}",
                    nearest=nearest(name, dir(found)),
                )
            found = getattr(found, name)
            if inspect.ismodule(found):  # torch.os.system is not torch's: what a module imports is no part of it
                raise UserError(f"_target_: {target} does not exist: {name} is no part of {module_name}")
        return found
    raise UserError(
        f"_target_: {target} cannot be imported: there is no module {parts[0]}",
        expected="module.name with a module that is installed, or that lies in the current directory",
        fix="start runner in the directory of your code",
    )


def build(node: Mapping[str, Any], *args: Any, **extra: Any) -> Any:
    """Call the ``_target_`` of a node with its other keys; nested nodes are built first.

    With ``_partial_: true`` the result is the callable with the keys already bound.
    """
    kwargs = {key: _build_value(value) for key, value in node.items() if key not in ("_target_", "_partial_")}
    factory = locate(node["_target_"])
    if node.get("_partial_"):
        return functools.partial(factory, *args, **kwargs, **extra)
    return factory(*args, **kwargs, **extra)


def _build_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return build(value) if "_target_" in value else {key: _build_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_build_value(item) for item in value]
    return value
