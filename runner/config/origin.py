"""Where a value of the composed configuration came from: the command line, or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.config.paths import Places


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

    def of(self, path: Sequence[str | int]) -> str:
        """The override that set a path, or the file that it stands in."""
        for length in range(len(path), 0, -1):
            key = ".".join(str(part) for part in path[:length])
            chooses_option = key in self.choices and length < len(path)  # then the value stands in the option's file
            override = self.typed.get(key)
            if override and not chooses_option:
                return f"{override} on the command line"
        return self.file_of(path)

    def file_of(self, path: Sequence[str | int]) -> str:
        """The file that holds the settings of a path's group."""
        group = str(path[0]) if path else ""
        option = self.choices.get(group)
        for name in [option] if isinstance(option, str) else option or ():
            file = self.places.file_of(group, name)
            if file:
                return shorten(file)
        return "conf/config.yaml"

    def choice(self, group: str) -> str:
        """The option chosen in a group, as it would be typed."""
        option = self.choices.get(group)
        return option if isinstance(option, str) else f"[{','.join(option or ())}]"

    def owner(self, path: Sequence[str | int]) -> str:
        """`` of optimizer=adam`` for a path in that option; empty for a root key."""
        group = str(path[0])
        return f" of {group}={self.choice(group)}" if len(path) > 1 and self.choices.get(group) else ""


def shorten(file: Path) -> str:
    """A configuration file's path from its ``conf/`` on."""
    parts = file.parts
    return "/".join(parts[-3:]) if len(parts) > 2 else str(file)
