"""Where a value of the composed configuration came from: the command line, or a file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import yaml_text
from runner.config.leaves import leaves
from runner.config.paths import Places

Keys = Sequence[str | int]
GLOBAL = "# @package _global_"
"""First line of a file that sets keys of any group."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is needed to tell the source of a setting.

    Args:
        places: The configuration folders.
        choices: The option (or options) chosen in each group.
        typed: What was typed, by the key that it sets.
    """

    places: Places
    choices: Mapping[str, str | Sequence[str] | None]
    typed: Mapping[str, str]

    def of(self, path: Keys) -> str:
        """The override that set a path, or the file that it stands in."""
        override = self._override(path)
        return f"{override} on the command line" if override else self.file_of(path)

    def file_of(self, path: Keys) -> str:
        """The file that holds a path: the experiment's if it sets it, otherwise that of the path's group."""
        file = self._file(path)
        return shorten(file) if file else "conf/config.yaml"

    def is_own(self, path: Keys) -> bool:
        """Whether a path stands in a file of the user's own."""
        file = None if self._override(path) else self._file(path)
        return file is not None and not self.places.is_shipped(file)

    def choice(self, group: str) -> str:
        """The option chosen in a group, as it would be typed."""
        option = self.choices.get(group)
        return option if isinstance(option, str) else f"[{','.join(option or ())}]"

    def owner(self, path: Keys) -> str:
        """`` of optimizer=adam`` for a path in that option; empty for a root key."""
        group = str(path[0])
        return f" of {group}={self.choice(group)}" if len(path) > 1 and self.choices.get(group) else ""

    def experiment_file(self, path: Keys) -> Path | None:
        """The file of the experiment that sets a path, if it does."""
        experiment = self.choices.get("experiment")
        return self._experiment_with(experiment, path) if isinstance(experiment, str) else None

    def reaches(self, group: str) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        """Option, path and value of what the options chosen in a group set in other groups."""
        options = self.choices.get(group)
        for name in () if isinstance(options, str) or options is None else options:
            file = self.places.file_of(group, name)
            if file and file.read_text(encoding="utf-8").startswith(GLOBAL):
                for key, value in leaves(_content(file)).items():
                    if not key.startswith("defaults"):
                        yield name, tuple(key.split(".")), value

    def _override(self, path: Keys) -> str | None:
        """The override that set a path, or what it is in."""
        for length in range(len(path), 0, -1):
            key = ".".join(str(part) for part in path[:length])
            typed = self.typed.get(key)
            # What chooses an option leaves the value to the option's file; a mapping, optimizer={lr: 1}, sets it.
            is_choice = key in self.choices and length < len(path) and "={" not in (typed or "")
            if typed and not is_choice:
                return typed
        return None

    def _file(self, path: Keys) -> Path | None:
        found = self.experiment_file(path)
        if found:
            return found
        reaching = self._reaching(path)
        if reaching:
            return reaching
        group = str(path[0]) if path else ""
        if group == "hydra" and len(path) > 1:
            group = f"hydra/{path[1]}"
        option = self.choices.get(group)
        if isinstance(option, str):
            return self.places.file_of(group, option)
        files = [file for name in reversed(option or ()) if (file := self.places.file_of(group, name))]
        return next((file for file in files if _sets(_content(file), path[1:])), next(iter(files), None))

    def _reaching(self, path: Keys) -> Path | None:
        """The file of an option, among several of a group, that sets a path of another group."""
        for group, options in self.choices.items():
            if not isinstance(options, str) and options is not None:
                found = [name for name, reached, _ in self.reaches(group) if tuple(path[: len(reached)]) == reached]
                if found:
                    return self.places.file_of(group, found[-1])
        return None

    def _experiment_with(self, name: str, path: Keys) -> Path | None:
        """The file of an experiment that sets a path: its own, or that of one that it starts from."""
        file = self.places.file_of("experiment", name)
        if file is None:
            return None
        content = _content(file)
        if _sets(content, path):
            return file
        bases = [entry for entry in content.get("defaults", ()) if isinstance(entry, str) and entry != "_self_"]
        return next((found for base in reversed(bases) if (found := self._experiment_with(base, path))), None)


def _content(file: Path) -> Mapping[str, Any]:
    found = yaml_text.load(file.read_text(encoding="utf-8"))
    return found if isinstance(found, Mapping) else {}


def _sets(content: Any, path: Keys) -> bool:
    for key in path:
        if isinstance(content, list):
            return True  # a list takes the place of another as a whole
        if not isinstance(content, Mapping) or key not in content:
            return False
        content = content[key]
    return True


def shorten(file: Path) -> str:
    """A configuration file's path from its ``conf/`` on."""
    parts = file.parts
    length = 4 if parts[-3:-2] == ("hydra",) else 3  # a group of Hydra's is a folder deeper
    return "/".join(parts[-length:]) if len(parts) >= length else str(file)
