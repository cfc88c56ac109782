"""Whose code a run directory may name: a ``_target_`` is code that runs, and a directory can come from anybody."""

import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from runner.build import locate
from runner.errors import UserError, UserErrors

_PACKAGES = ("torch", "torchvision", "torchmetrics", "runner")
_CLASSES = (
    "torch.nn.",
    "torch.optim.",
    "torchvision.datasets.",
    "torchvision.models.",
    "torchvision.ops.",
    "torchvision.transforms.",
    "torchmetrics.aggregation.",
    "torchmetrics.classification.",
    "torchmetrics.clustering.",
    "torchmetrics.collections.",
    "torchmetrics.image.",
    "torchmetrics.nominal.",
    "torchmetrics.regression.",
    "torchmetrics.retrieval.",
    "torchmetrics.segmentation.",
    "torchmetrics.wrappers.",
    "runner.data.",
    "runner.losses.",
    "runner.models.",
    "runner.training.",
)
"""Where the classes stand that any run may name. Elsewhere in these packages are classes that start processes when they
are made (torch.distributed), or load what somebody else has pickled (torchmetrics.text)."""
_UNPICKLING = ("torchvision.datasets.lsun.",)
_FUNCTIONS = (
    "runner.models.vision.",
    "torch.nn.functional.",
    "torchmetrics.functional.classification.",
    "torchmetrics.functional.regression.",
    "torchmetrics.functional.segmentation.",
)
"""Where the functions stand that any run may name, besides torchvision's models."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What one command may import.

    Args:
        folders: Where the user's own code lies.
        packages: Further packages, by name.
        everything: Whether any installed package will do: the user has just typed the configuration.
        code: Those of the folders that the user has named as holding the code, such as the copy of it that was made
            when a job was submitted: they are trusted even inside a run directory.
    """

    folders: tuple[Path, ...]
    packages: tuple[str, ...] = ()
    everything: bool = False
    code: tuple[Path, ...] = ()

    def record(self) -> dict[str, Any]:
        """As plain values, for another process of the same run."""
        return {
            "folders": list(map(str, self.folders)),
            "packages": self.packages,
            "everything": self.everything,
            "code": list(map(str, self.code)),
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Trust":
        """What ``record`` gave."""
        folders, code = (tuple(map(Path, record[key])) for key in ("folders", "code"))
        return cls(folders, tuple(record["packages"]), record["everything"], code)

    def make_importable(self) -> None:
        """Let ``_target_`` find the user's modules. Installed packages keep their names: the folders come last."""
        for folder in self.folders:
            if str(folder) not in sys.path:
                sys.path.append(str(folder))

    def check(self, config: Mapping[str, Any], run: Path | None = None) -> None:
        """Refuse a configuration that names code of anybody else; nothing of it is imported then.

        Args:
            config: Of a run.
            run: The directory that it comes from: code in there is not the user's own, wherever it lies.

        Raises:
            UserErrors: With every ``_target_`` that is refused.
        """
        self.make_importable()
        if self.everything:
            return
        refused = [_refusal(key, target) for key, target in targets(config) if not self.allows(target, run)]
        if refused:
            raise UserErrors(refused)

    def allows(self, target: str, run: Path | None = None) -> bool:
        """Whether a target may be imported; a module of the user's own is, to see where it has the target from.

        Args:
            target: As it stands behind ``_target_``.
            run: As for ``check``.
        """
        package = target.partition(".")[0]
        if package in self.packages:
            return True
        if package in _PACKAGES:
            return _is_harmless(locate(target))
        if not self._is_own(target, run):
            return False
        try:
            found = locate(target)
        except Exception:  # a fault in the user's code is told when it is built: the run fails then, and keeps it
            return True
        # What a module has imported from elsewhere, such as subprocess.Popen, is not the user's.
        return self._is_own(_module_of(found), run) or _is_harmless(found)

    def _is_own(self, target: str, run: Path | None) -> bool:
        files = list(_module_files(target))
        return bool(files) and all(self._has(file, run) for file in files)

    def _has(self, file: Path, run: Path | None) -> bool:
        """Whether a file is the user's own: in a folder of theirs, but in no run directory, unless they named it."""
        places = {file.absolute(), file.resolve()}
        for folder in self.code:
            if all(place.is_relative_to(folder) for place in places):
                above = {above for place in places for above in place.parents}
                return not any(one != folder and one.is_relative_to(folder) and _is_run(one) for one in above)
        if run is not None and any(place.is_relative_to(run.resolve()) for place in places):
            return False
        if any(_is_run(above) for place in places for above in place.parents):
            return False
        return any(file.resolve().is_relative_to(folder.resolve()) for folder in self.folders)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "status.json").is_file()


def _is_harmless(found: Any) -> bool:
    """Whether making or calling it can do no more than compute, or read data, whatever its arguments are."""
    module = f"{_module_of(found)}."
    name = getattr(found, "__name__", "_")
    if inspect.isclass(found):
        return module.startswith(_CLASSES) and not module.startswith(_UNPICKLING)
    if module.startswith("torchvision.models."):
        from torchvision.models import get_model_builder, list_models

        return name in list_models() and get_model_builder(name) is found  # others load what their arguments name
    is_public = not name.startswith("_") and getattr(found, "__qualname__", "") == name
    return inspect.isfunction(found) and is_public and module.startswith(_FUNCTIONS)


def _module_of(found: Any) -> str:
    return str(getattr(found, "__module__", None) or "")


def _module_files(target: str) -> Iterator[Path]:
    """The files that importing a target would run, found without running any of them."""
    names = target.split(".")
    if not all(name.isidentifier() for name in names):
        return
    spec = _spec(names[0])
    for number in range(1, len(names) + 1):
        if spec is None:
            return
        if spec.has_location and spec.origin:
            yield Path(spec.origin)
        elif spec.origin is not None:
            return  # built in or frozen: no file of anybody's
        if number < len(names):
            inside = spec.submodule_search_locations
            spec = None if inside is None else PathFinder.find_spec(".".join(names[: number + 1]), inside)


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)  # of a top-level name: looks at files, runs nothing
    except ValueError:  # __main__ has none
        return None


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
        f"{key}._target_: {target} is not run: it is neither a model, loss, optimizer, metric or data source of "
        f"{', '.join(_PACKAGES)} nor code of yours",
        where="config.yaml of the run directory",
        expected="code in the current directory",
        fix=f"start in the directory of the code, or say that you trust it: --trust {package}",
    )
