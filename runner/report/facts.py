"""What is known of a run, by name: its status, metrics, and settings, which are read when they are asked for.

``config.yaml`` of a run is not parsed as a whole. It is cut into its top-level keys, and equal texts are parsed once:
of 10,000 runs of which only the learning rate and the seed differ, that takes a tenth of the time.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from runner import yaml_text
from runner.config.leaves import leaves
from runner.errors import UserError
from runner.report.runs import Found
from runner.runs.directory import RunDirectory

FIELDS: dict[str, Callable[[Found], Any]] = {
    "run": lambda run: str(run.path),
    "state": lambda run: run.state,
    "status": lambda run: run.state,
    "epoch": lambda run: run.status.epoch,
    "epochs": lambda run: run.status.epochs,
    "step": lambda run: run.status.step,
    "monitor": lambda run: run.status.monitor,
    "best": lambda run: run.status.best,
    "best_epoch": lambda run: run.status.best_epoch,
    "seconds": lambda run: run.seconds(),
    "error": lambda run: run.status.error,
    "host": lambda run: run.status.host,
    "created": lambda run: run.status.created,
    "started": lambda run: run.status.started,
    "ended": lambda run: run.status.ended,
    "executions": lambda run: run.status.executions,
}
"""What ``status.json`` tells of a run, by the name that it has in conditions and orders."""


class Facts:
    """A run, and what is known of it by name.

    A name with a slash is a metric (``val/accuracy``). Any other that is none of ``FIELDS`` is a setting by its dotted
    name (``optimizer.lr``), or a group with the option chosen in it (``model``).
    """

    def __init__(self, run: Found) -> None:
        self.run = run

    def value(self, name: str) -> Any:
        """What the run has of that name; None where it has nothing."""
        if name in FIELDS:
            return FIELDS[name](self.run)
        if "/" in name:
            return self.run.status.metrics.get(name)
        found = self._block(name).get(name)
        return self.choices.get(name) if found is None else found

    def has(self, name: str) -> bool:
        """Whether there is such a name in this run."""
        if name in FIELDS or name in self.run.status.metrics:
            return True
        return "/" not in name and (name in self._block(name) or name in self.choices)

    def names(self) -> list[str]:
        """Every name."""
        return [*FIELDS, *self.run.status.metrics, *self.choices, *self.settings]

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting of ``config.yaml`` by its dotted name; empty where it cannot be read."""
        return {name: value for key in self._texts for name, value in self._block(key).items()}

    @functools.cached_property
    def choices(self) -> dict[str, Any]:
        """The option chosen in each configuration group; a list where options combine."""
        found = self._overrides.get("choices")
        return dict(found) if isinstance(found, Mapping) else {}

    @functools.cached_property
    def typed(self) -> tuple[str, ...]:
        """What was typed for the run."""
        found = self._overrides.get("typed")
        return tuple(map(str, found)) if isinstance(found, list) else ()

    @property
    def is_repetition(self) -> bool:
        """Whether it was made to repeat another run, seed and all."""
        return "repeats" in self.provenance

    @functools.cached_property
    def provenance(self) -> dict[str, Any]:
        """How it came about; empty where that cannot be read."""
        try:
            return RunDirectory(self.run.path).provenance()
        except (UserError, OSError):
            return {}

    @functools.cached_property
    def _overrides(self) -> dict[str, Any]:
        texts = _texts(RunDirectory(self.run.path).overrides_file)
        return {key: value for text in texts.values() for key, value in _mapping(text).items()}

    @functools.cached_property
    def _texts(self) -> dict[str, str]:
        return _texts(RunDirectory(self.run.path).config_file)

    def _block(self, name: str) -> dict[str, Any]:
        return _flat(self._texts.get(name.partition(".")[0], ""))


def known_to_none(runs: Iterable[Facts], names: Iterable[str]) -> list[str]:
    """Those names that none of some runs has."""
    runs = list(runs)
    return [name for name in names if not any(run.has(name) for run in runs)]


def _texts(file: Path) -> dict[str, str]:
    """The text of each top-level key of a YAML file; of one that cannot be cut up, of the whole."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    found = yaml_text.blocks(text)
    if "&" in text and any(_mapping(block) == {} for block in found.values()):  # an alias into another block
        try:
            whole = yaml_text.load(text)
        except yaml.YAMLError:
            return {}
        found = {key: yaml_text.dump({key: value}) for key, value in dict(whole).items()}
    return found


@functools.lru_cache(maxsize=2**16)
def _flat(text: str) -> dict[str, Any]:
    return leaves(_mapping(text))


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        found = yaml_text.load_block(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, Mapping) else {}
