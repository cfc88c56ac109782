"""The words of a command line as Hydra reads them."""

import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from runner.config.flags import key_called
from runner.errors import UserError, listing, nearest

QUOTING = """quote a value that holds = , : [ ] { } ( ) or blanks: 'key="a=b"'"""


def read(typed: Sequence[str]) -> tuple[dict[str, Override], list[UserError]]:
    """What was typed as Hydra reads it, and what is wrong with what it cannot read."""
    found = {}
    named = [text for text in typed if text.partition("=")[0].strip("+~ ")]
    errors = [
        UserError(f"{shlex.quote(text)} names no key", expected="key=value") for text in typed if text not in named
    ]
    errors += _without_equals([text for text in named if "=" not in text and not text.startswith("~")])
    for text in named:
        if "=" in text or text.startswith("~"):
            try:
                found[text] = OverridesParser.create().parse_override(text)
            except HydraException as error:  # also the base of OverrideParseException
                errors.append(_unreadable(text, first_line(error)))
    return found, errors


def _unreadable(text: str, reason: str) -> UserError:
    function = re.search(r"Unknown function '(\w+)'", reason)
    if function:
        known = sorted(OverridesParser.create().functions.functions)
        return UserError(
            f"{text} cannot be read: there is no function {function[1]}",
            expected=listing(known),
            nearest=nearest(function[1], known),
            fix=QUOTING,
        )
    return UserError(f"{text} cannot be read: {reason}", expected="key=value", fix=_quoted(text) or QUOTING)


def _quoted(text: str) -> str | None:
    """An override as it can be read: with quotes around its value, unless that may be a list or the like."""
    key, _, value = text.partition("=")
    if re.search(r'[\[\]{}(),"\\]', value):
        return None
    quoted = f'{key}="{value}"'
    try:
        OverridesParser.create().parse_override(quoted)
    except HydraException:
        return None
    return shlex.quote(quoted)


def by_key(typed: Sequence[str]) -> dict[str, str]:
    """What was typed, by the key or group that it sets."""
    return {text.partition("=")[0].lstrip("+~"): text for text in typed}


def first_line(error: Exception) -> str:
    """What Hydra says first; what follows speaks of its own inside."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _without_equals(words: Sequence[str]) -> list[UserError]:
    """What is wrong with words that are no overrides: ``epochs 5`` in place of ``epochs=5``."""
    errors = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key = key_called(word)
        value = rest.pop(0) if key and rest and key_called(rest[0]) is None else None
        errors.append(
            UserError(
                f"{word if value is None else f'{word} {value}'} cannot be read",
                expected="key=value",
                fix=f"{key}={value or 'VALUE'}" if key else QUOTING,
            )
        )
    return errors
