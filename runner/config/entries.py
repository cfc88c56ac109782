"""The defaults lists of the configuration files: every entry with its line, and where it leads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from runner.config.origin import shorten
from runner.config.paths import Places


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a defaults list.

    Args:
        file: That it stands in, as Hydra calls it: ``experiment/mine``.
        where: The path of the file, and the line.
        is_override: Whether it says so.
        group: Of the option, seen from the configuration folder; empty where a file is named without a group.
        target: The file that it leads to: ``model/mlp``.
        is_circle: Whether that file leads here.
    """

    file: str
    where: str
    is_override: bool
    group: str
    target: str
    is_circle: bool

    @property
    def option(self) -> str:
        """What it chooses."""
        return self.target.rpartition("/")[2]


def entries(places: Places, name: str, above: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The entries of the defaults list of a file, and of all files that they lead to.

    Args:
        places: The configuration folders.
        name: The file, as Hydra calls it.
        above: Those that led to it.
    """
    folder, _, option_of_it = name.rpartition("/")
    file = places.file_of(folder, option_of_it)
    for line, key, option in _read(file) if file else ():
        words = key.split()
        start = "" if words[-1].startswith("/") else folder
        path = "/".join(filter(None, [start, words[-1].strip("/").partition("@")[0]]))
        target = f"{path}/{option}" if option else path
        is_circle = target in (*above, name)
        where = f"{shorten(file)}, line {line}" if file else ""
        yield Entry(name, where, "override" in words[:-1], path if option else "", target, is_circle)
        if not is_circle:
            yield from entries(places, target, (*above, name))


def _read(file: Path) -> Iterator[tuple[int, str, str]]:
    """The line, the group and the option of every entry; of one that names a file alone, that and nothing."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8", errors="replace"))
    except yaml.YAMLError:  # told where the file is used
        return
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    defaults = next((node for key, node in pairs if key.value == "defaults"), None)
    for entry in defaults.value if isinstance(defaults, yaml.SequenceNode) else []:
        line = entry.start_mark.line + 1
        if isinstance(entry, yaml.ScalarNode):
            yield line, entry.value, ""
        elif isinstance(entry, yaml.MappingNode):
            for key, options in entry.value:
                several = options.value if isinstance(options, yaml.SequenceNode) else [options]
                yield from ((line, key.value, option.value) for option in several)
