"""What a user is told when a request cannot be carried out."""

import difflib
from collections.abc import Callable, Iterable, Sequence


class UserError(Exception):
    """A mistake that the user can mend, told without a traceback.

    Raised while a request is checked, it ends the command with exit code 2 and nothing is written;
    raised while a run executes, the run is marked as failed and the command ends with exit code 1.

    Args:
        what: What is wrong, in one sentence that names the value and where it came from.
        where: The file, and the row or key in it.
        expected: What would have been accepted.
        nearest: The valid name closest to the one given.
        fix: What to type or to change.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        nearest: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = _in_utf8(what)
        hints = {"where": where, "expected": expected, "nearest": nearest, "fix": fix}
        self._hints = {label: hint and _in_utf8(hint) for label, hint in hints.items()}
        lines = [f"  {label + ':':<10}{hint}" for label, hint in self._hints.items() if hint]
        super().__init__("\n".join([self.what, *lines]))

    def at(self, where: str) -> "UserError":
        """The same mistake, told with the file or the override that it comes from."""
        return UserError(self.what, **{**self._hints, "where": where})

    def reworded(self, reword: Callable[[str], str]) -> "UserError":
        """The same mistake with each of its texts in other words."""
        return UserError(reword(self.what), **{name: hint and reword(hint) for name, hint in self._hints.items()})


def _in_utf8(text: str) -> str:
    """A text that can be written anywhere: names of files may have bytes that are no characters."""
    return text.encode(errors="backslashreplace").decode()


class UserErrors(UserError):
    """Several mistakes of one request, reported together."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


_SYNONYMS = {"gpu": "cuda", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""What people type for something that has another name here."""

_SHOWN = 200
"""Characters that are shown of a text which was read somewhere: a path, but not a page."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that ``name`` was most likely meant to be, or None when none is close."""
    choices = list(choices)
    synonym = _SYNONYMS.get(name.lower().partition(":")[0])  # gpu:0
    if synonym in choices:
        return synonym
    matches = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return matches[0] if matches else None


def listing(names: Iterable[object], limit: int = 20) -> str:
    """Names in a row for a message, cut after ``limit`` with the count of the rest."""
    texts = [in_short(str(name)) for name in names]
    shown = ", ".join(texts[:limit])
    return f"{shown}, ... ({len(texts) - limit} more)" if len(texts) > limit else shown


def in_short(text: str) -> str:
    """A text from a file for a message: the beginning of its first line, where it is more than that."""
    start = text.partition("\n")[0][:_SHOWN].rstrip()
    return start if start == text else f"{start}..."


def reason_of(error: BaseException) -> str:
    """What an exception says, in a line; what it is, where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
