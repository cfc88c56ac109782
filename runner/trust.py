"""Whose code a run directory may name: a ``_target_`` is code that runs, and a directory can come from anybody."""

import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.build import locate
from runner.errors import UserError, UserErrors

ALWAYS = ("torch", "torchvision", "torchmetrics", "runner")
"""Packages whose classes any run may name. Of their functions only those that make models and metrics: others read
files and run what is in them."""
_FUNCTIONS = ("torchvision.models.", "torchmetrics.functional.")


@dataclass(frozen=True, slots=True)
class Trust:
    """What one command may import.

    Args:
        folders: Where the user's own code lies.
        packages: Further packages, by name.
        everything: Whether any installed package will do: the user has just typed the configuration.
    """

    folders: tuple[Path, ...]
    packages: tuple[str, ...] = ()
    everything: bool = False

    def make_importable(self) -> None:
        """Let ``_target_`` find the user's modules. Installed packages keep their names: the folders come last."""
        for folder in self.folders:
            if str(folder) not in sys.path:
                sys.path.append(str(folder))

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse a configuration that names code of anybody else; nothing of it is imported then.

        Raises:
            UserErrors: With every ``_target_`` that is refused.
        """
        self.make_importable()
        refused = [_refusal(key, target) for key, target in targets(config) if not self._allows(target)]
        if refused:
            raise UserErrors(refused)

    def _allows(self, target: str) -> bool:
        package = target.partition(".")[0]
        if self.everything or package in self.packages:
            return True
        if package in ALWAYS:
            found = locate(target)
            belongs = (getattr(found, "__module__", None) or "").partition(".")[0] == package
            return belongs and (inspect.isclass(found) or target.startswith(_FUNCTIONS))
        return self._is_own(package)

    def _is_own(self, package: str) -> bool:
        spec = importlib.util.find_spec(package)  # of a top-level name: looks at files, runs nothing
        places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
        found = [Path(place).resolve() for place in places if place]
        return any(place.is_relative_to(folder.resolve()) for place in found for folder in self.folders)


def targets(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every ``_target_`` in a configuration, with the key of its node."""
    if isinstance(config, Mapping):
        if isinstance(config.get("_target_"), str):
            yield key, config["_target_"]
        for name, value in config.items():
            yield from targets(value, f"{key}.{name}" if key else str(name))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            yield from targets(value, f"{key}.{number}")


def _refusal(key: str, target: str) -> UserError:
    package = target.partition(".")[0]
    return UserError(
        f"{key}._target_: {target} is not run: it is neither a class of {', '.join(ALWAYS)} nor code of yours",
        where="config.yaml of the run directory",
        expected="code in the current directory",
        fix=f"start in the directory of the code, or say that you trust it: --trust {package}",
    )
