"""What can be chosen and set, read from the text of the configuration files: their comments are its explanation.

No YAML is parsed and nothing is composed, so this answers in milliseconds. It relies on how the files of ``conf/`` are
written: a header that says what the option is, a comment above each key, two spaces of indentation a level.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.config.paths import Places

_CHOICE = re.compile(r" *- (?P<override>override )?/?(?P<group>[\w/-]+)(?:@[\w.]+)?: *(?P<options>[^#]+?)(?: +#.*)?")
_KEY = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?: +(?P<value>'[^']*'|[^\s#].*?))?(?: +#.*)?")


@dataclass(frozen=True, slots=True)
class Option:
    """One file of a group.

    Args:
        name: What is typed after ``group=``.
        text: The first sentence of its header; empty if it has none.
        brings: What it chooses in other groups, as it would be typed: ``data=shapes``. What is the default there anyway
            is left out.
        is_default: Whether a run has it when nothing is typed.
        is_yours: Whether it comes from the user's configuration folder.
    """

    name: str
    text: str
    brings: tuple[str, ...]
    is_default: bool
    is_yours: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A folder of the configuration, with its options by name."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A key with its default, both as they would be typed, and the comment above it."""

    key: str
    value: str
    text: str


def groups(places: Places) -> list[Group]:
    """Every group, in the order of the defaults list; the ``base`` files that options share are no options."""
    lists = [_read(places, name) for name in ("config.yaml", "hydra/base.yaml")]
    chosen = {group: options for text in lists for _, group, options in _choices(text)}
    files: dict[str, dict[str, Path]] = {group: {} for group in chosen}
    for conf in reversed(places.conf_dirs):  # the user's last, so that they replace shipped ones of the same name
        for file in sorted([*conf.glob("*/*.yaml"), *conf.glob("*/*/*.yaml")]):
            group = file.parent.relative_to(conf).as_posix()
            if file.stem != "base" and not group.startswith("."):
                files.setdefault(group, {})[file.stem] = file
    return [
        Group(name, tuple(_option(name, options[option], chosen, places) for option in sorted(options)))
        for name, options in files.items()
        if options
    ]


def root_settings(places: Places) -> list[Setting]:
    """The keys that stand in no group, with those of their sections."""
    return [setting for setting in settings(_read(places, "config.yaml")) if not setting.key.startswith("hydra.")]


def default_keys(places: Places) -> list[str]:
    """Everything that can be typed before ``=`` when nothing else is: root keys, groups, then the keys of groups."""
    found = groups(places)
    keys = [setting.key for setting in root_settings(places)] + [group.name for group in found]
    for group in found:
        for name in ["base", *(option.name for option in group.options if option.is_default)]:
            file = places.file_of(group.name, name)
            text = _text(file) if file else ""
            keys += [f"{group.name}.{setting.key}" for setting in settings(text) if "_target_" not in setting.key]
    return list(dict.fromkeys(keys))


def several(places: Places) -> dict[str, tuple[str, ...]]:
    """The groups whose options combine, such as regularization, with those that a run has when nothing is typed."""
    lines = _read(places, "config.yaml").splitlines()
    found = (_choices(f"defaults:\n{line}") for line in lines if line.endswith("]") and ": [" in line)
    return {group: options for choices in found for _, group, options in choices}


def single(places: Places) -> frozenset[str]:
    """The groups of which a run has one option and no more, such as model."""
    of_a_run = _choices(_read(places, "config.yaml"))
    return frozenset(group for _, group, options in of_a_run if options) - several(places).keys()


def optional(places: Places) -> frozenset[str]:
    """The groups from which a run has no option when nothing is typed, such as experiment."""
    return frozenset(group for _, group, options in _choices(_read(places, "config.yaml")) if not options)


def settings(text: str) -> list[Setting]:
    """Every key of a YAML text that has a value on its own line, with the comment lines right above it."""
    found = []
    sections: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip(" #"))
            continue
        key = _KEY.fullmatch(line)
        if key:
            path = [*sections[: len(key["indent"]) // 2], key["key"]]
            if key["value"]:
                found.append(Setting(".".join(path), key["value"], " ".join(comment)))
            else:
                sections = path
        comment = []
    return found


def _option(group: str, file: Path, defaults: Mapping[str, tuple[str, ...]], places: Places) -> Option:
    text = _text(file)
    brings = tuple(
        f"{other}={name}"
        for overrides, other, names in _choices(text)
        for name in names
        if overrides and name not in defaults.get(other, ())
    )
    is_default = file.stem in defaults.get(group, ())
    return Option(file.stem, _header(text), brings, is_default, not places.is_shipped(file))


def _header(text: str) -> str:
    """The first sentence of the comment that a file begins with, which may go over several lines."""
    sentence: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#") and line.strip():
            break
        words = line.lstrip("# ")
        if not words.startswith("@package"):  # Hydra's directive, not a comment
            sentence.append(words)
        if words.endswith((".", "!", "?")):
            break
    return " ".join(sentence).strip()


def _choices(text: str) -> Iterator[tuple[bool, str, tuple[str, ...]]]:
    """Whether it is an override, the group and the options of each line of a defaults list."""
    _, _, defaults = f"\n{text}".partition("\ndefaults:\n")
    for line in defaults.splitlines():
        if line and not line.lstrip().startswith(("-", "#")):
            return
        choice = _CHOICE.fullmatch(line)
        if choice:
            names = choice["options"].strip(" []").split(",")
            options = tuple(name.strip() for name in names if name.strip() not in ("", "null"))
            yield bool(choice["override"]), choice["group"], options


def _read(places: Places, name: str) -> str:
    file = next(conf / name for conf in places.conf_dirs if (conf / name).is_file())
    return _text(file)


def _text(file: Path) -> str:
    """What a file says, as far as it is UTF-8: one that is not is no reason to be silent about all others."""
    return file.read_text(encoding="utf-8", errors="replace")
