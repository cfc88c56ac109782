"""YAML read and written by libyaml where it is there, in a tenth of the time."""

import functools
import re
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_BLOCK_START = re.compile(r"^(?=[\w'\"])", re.M)  # what belongs to a key is indented, or begins with a dash


def load(text: str) -> Any:
    """The plain values that a text stands for.

    Raises:
        yaml.YAMLError: If it is no YAML.
    """
    return yaml.load(text, _Loader)


def dump(value: Any) -> str:
    """A text that stands for plain values, with keys in their order."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def blocks(text: str) -> dict[str, str]:
    """The text of each top-level key of a mapping that ``dump`` wrote, by key; without reading what it stands for."""
    return {block[: block.index(":")]: block for block in _BLOCK_START.split(text) if ":" in block}


@functools.lru_cache(maxsize=2**16)
def load_block(text: str) -> Any:
    """As ``load``; equal texts, as many runs of one sweep have them, are read once. Not to be changed by the caller."""
    return load(text)
