"""The line that a shell asks about, and the answer in the form that each shell reads."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OPEN_ENDS = ("=", ".", "/", ",", "[")
"""What a candidate ends with when more has to follow, so that the shell puts no space behind it."""

_CURSOR = "\0"
_SPECIAL = re.compile(r"([^\w@%+=:,./~\[\]{}-])")


@dataclass(frozen=True, slots=True)
class Line:
    """A command line up to the cursor, as the shell would split it.

    Args:
        words: The complete words, without their quotes; the first is the program.
        word: The one at the cursor, without quotes; empty after a space.
        text: The line as it was typed.
        quote: The quotation mark that is still open at the cursor, or nothing.
    """

    words: tuple[str, ...]
    word: str
    text: str
    quote: str

    @classmethod
    def read(cls, text: str) -> "Line":
        """Split a line whose last word need not be complete, nor its quotes closed."""
        for quote in ("", "'", '"'):
            try:
                *words, word = shlex.split(text + _CURSOR + quote)
            except ValueError:
                continue
            return cls(tuple(_from_program(words)), word.removesuffix(_CURSOR), text, quote)
        raise AssertionError(f"unreachable: {text!r} is closed by one of the quotation marks")


def _from_program(words: list[str]) -> list[str]:
    """Without what may stand before it: ``LANG=C time runner train``."""
    names = [word.rpartition("/")[2] for word in words]
    return words[names.index("runner") :] if "runner" in names else words


def for_fish(candidates: Mapping[str, str]) -> Iterable[str]:
    """A candidate and its explanation on each line, with a tabulator between; fish does the quoting and the spaces."""
    return (f"{candidate}\t{text}" for candidate, text in candidates.items())


def for_zsh(candidates: Mapping[str, str]) -> Iterable[str]:
    """The entries of ``_describe``; a leading space marks those that are complete words."""
    for candidate, text in candidates.items():
        name = candidate.replace("\\", "\\\\").replace(":", "\\:")
        mark = "" if candidate.endswith(OPEN_ENDS) else " "
        yield f"{mark}{name}:{text}" if text else f"{mark}{name}"


def for_bash(candidates: Iterable[str], line: Line, break_characters: str) -> Iterable[str]:
    """What takes the place of readline's own idea of the word: what follows the last of its break characters.

    Complete words have a space at their end, which bash would otherwise put behind keys and folders too.

    Args:
        candidates: What the word may become.
        line: What was typed.
        break_characters: bash's ``COMP_WORDBREAKS``.
    """
    if line.quote:
        start = line.text.rindex(line.quote) + 1
        typed, kept, close = line.word, line.word.removesuffix(line.text[start:]), ""
    else:
        typed = _escaped(line.word)
        up_to_last_break = re.findall(rf".*(?<!\\)[{re.escape(break_characters)}]", typed) if break_characters else []
        kept, close = "".join(up_to_last_break), " "
    if not line.text.endswith(typed.removeprefix(kept)):
        return  # quoted in a way that is not ours: bash completes files by itself then
    for candidate in candidates:
        whole = candidate if line.quote else _escaped(candidate)
        yield whole.removeprefix(kept) + ("" if candidate.endswith(OPEN_ENDS) else close)


def _escaped(word: str) -> str:
    return _SPECIAL.sub(r"\\\1", word)
