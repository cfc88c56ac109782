"""Conditions that choose runs: ``optimizer.lr < 0.01 and status == failed``.

    condition   = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation    = "not" negation | "(" condition ")" | comparison
    comparison  = operand {operator operand | "~" text | "!~" text} | operand ["not"] "in" list | operand
    operator    = "==" | "=" | "!=" | "<" | "<=" | ">" | ">="
    list        = "[" value {"," value} "]", or the same in round brackets

Left of an operator stands a name, right of it a value, or the name of a field or metric. ``~`` holds where a text has
the right side in it, or is matched by it if that is a pattern such as ``*-lr-0.1*``; of a list, where an element is.
The right side is a text as it was typed there: ``0003`` is not 3, and ``best`` no field. A run that lacks what is named
has ``null``, which is neither less nor greater than anything.

Nothing is evaluated but what this module defines.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any

from runner.errors import UserError, listing, nearest
from runner.report.facts import FIELDS, Facts, known_to_none
from runner.report.runs import STATES, Entry, runs_of

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'[^']*'|"[^"]*")|(?P<sign>==|!=|<=|>=|!~|[=<>~()\[\],])|(?P<word>[^\s'"=<>~!()\[\],]+))"""
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_KEYWORDS = ("and", "or", "not", "in")
_MATCHING = ("~", "!~")
_ORDERS = {"<": lt, "<=": le, ">": gt, ">=": ge}
_OPERATORS = ("==", "=", "!=", *_ORDERS, *_MATCHING)
_METRIC = re.compile(r"(train|val|test)/.")
_STATE = ("state", "status")

_Test = Callable[[Facts], bool]
_Operand = Callable[[Facts], Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was read."""

    text: str
    names: tuple[str, ...]
    """The fields, metrics and settings that it is about."""
    _test: _Test

    def chosen(self, runs: Sequence[Facts]) -> list[Facts]:
        """The runs that it holds for.

        Raises:
            UserError: If it names something that none of the runs has, or compares what cannot be compared.
        """
        unknown = known_to_none(runs, self.names) if runs else []
        if unknown:
            raise no_such_name(f"--where '{self.text}'", unknown[0], runs)
        return [run for run in runs if self._test(run)]


def no_such_name(asked: str, name: str, runs: Sequence[Facts]) -> UserError:
    """What to tell when none of some runs has what is named."""
    names = list(dict.fromkeys(name for run in runs for name in run.names()))
    parts = {name.rpartition(".")[2]: name for name in reversed(names)}  # lr: optimizer.lr
    close = parts.get(name) or nearest(name, names)
    return UserError(
        f"{asked}: no run has {name}",
        expected=f"a setting such as optimizer.lr, a metric such as val/loss, or one of {listing(FIELDS)}",
        nearest=close,
    )


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        UserError: If it is none; the message shows where it stops making sense.
    """
    parser = _Parser(text)
    test = parser.condition()
    if parser.next is not None:
        raise parser.error("'and', 'or' or the end")
    return Condition(text, tuple(dict.fromkeys(parser.names)), test)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    is_quoted: bool


class _Parser:
    """Reads tokens from left to right; each method reads what it is called after and gives what it means."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._at = 0
        self.names: list[str] = []

    def _split(self, text: str) -> list[_Token]:
        tokens, at = [], 0
        end = len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                start = at + len(text[at:]) - len(text[at:].lstrip())
                what = "the other quotation mark" if text[start] in "'\"" else "a name, a value or an operator"
                raise self._error_at(start, what)
            quoted, start = match["text"], match.start(match.lastgroup or 0)
            tokens.append(_Token(quoted[1:-1] if quoted else match[0].strip(), start, bool(quoted)))
            at = match.end()
        return tokens

    @property
    def next(self) -> str | None:
        """The next sign or word; None at the end, and an empty text where a quoted one stands."""
        if self._at == len(self._tokens):
            return None
        token = self._tokens[self._at]
        return "" if token.is_quoted else token.text

    def error(self, expected: str) -> UserError:
        """What to tell when something else should come next."""
        at = self._tokens[self._at].start if self._at < len(self._tokens) else len(self._text)
        return self._error_at(at, expected)

    def _error_at(self, at: int, expected: str) -> UserError:
        rest = self._text[at:].strip()
        where = f"at '{rest}'" if rest else "at its end"
        return UserError(
            f"--where '{self._text}' is not understood {where}",
            expected=expected,
            fix="for example: --where 'optimizer.lr < 0.01 and not (status == completed or val/accuracy > 0.9)'",
        )

    def _take(self, *wanted: str) -> str | None:
        """The next word or sign, if it is one of these."""
        if self.next in wanted:
            self._at += 1
            return self._tokens[self._at - 1].text
        return None

    def condition(self) -> _Test:
        tests = [self._conjunction()]
        while self._take("or"):
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda run: any(test(run) for test in tests)

    def _conjunction(self) -> _Test:
        tests = [self._negation()]
        while self._take("and"):
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda run: all(test(run) for test in tests)

    def _negation(self) -> _Test:
        if self._take("not"):
            negated = self._negation()
            return lambda run: not negated(run)
        if self._take("("):
            inside = self.condition()
            if not self._take(")"):
                raise self.error("a closing bracket")
            return inside
        return self._comparison()

    def _comparison(self) -> _Test:
        left, name = self._operand(wants_name=True)
        if self._take("not"):
            if self.next != "in":
                raise self.error("in")
            among = self._among(left, name)
            return lambda run: not among(run)
        if self.next == "in":
            return self._among(left, name)
        tests: list[_Test] = []
        while operator := self._take(*_OPERATORS):
            if operator in _MATCHING:
                tests.append(_matching(left, operator, self._pattern()))
                continue
            word = self._tokens[self._at].text if self.next is not None else None
            right, other = self._operand(wants_name=name is None)
            if operator in ("==", "=", "!=") and name in _STATE:
                self._check_state(word)
            tests.append(_compared(left, operator, right, self._text))
            left, name = right, other
        if len(tests) == 1:
            return tests[0]
        if tests:
            return lambda run: all(test(run) for test in tests)
        if name is None:
            raise self.error("an operator, such as == or <")
        return lambda run: bool(left(run))

    def _among(self, left: _Operand, name: str | None) -> _Test:
        self._take("in")
        values = self._list()
        for value in values if name in _STATE else ():
            self._check_state(value)
        return lambda run: any(_equal(left(run), value) for value in values)

    def _list(self) -> list[Any]:
        closing = {"[": "]", "(": ")"}.get(self.next or "")
        if closing is None:
            raise self.error("values in brackets, such as [mlp, unet]")
        self._at += 1
        values: list[Any] = []
        while not self._take(closing):
            if values and not self._take(","):
                raise self.error(f"a comma or {closing}")
            values.append(self._list() if self.next == "[" else self._value())
        return values

    def _check_state(self, value: Any) -> None:
        """Refuse what is no state."""
        if value not in STATES:
            raise UserError(
                f"--where '{self._text}': {value} is not a state",
                expected=listing(STATES),
                nearest=nearest(str(value), STATES),
            )

    def _operand(self, wants_name: bool) -> tuple[_Operand, str | None]:
        """What stands on one side of an operator, and the name that it is, if it is one."""
        if self.next == "[":
            values = self._list()
            return lambda run: values, None
        word = self.next
        value = self._value()
        is_name = word and isinstance(value, str) and (wants_name or word in FIELDS or _METRIC.match(word))
        if not is_name:
            return lambda run: value, None
        self.names.append(value)
        return lambda run: run.value(value), value

    def _pattern(self) -> str:
        """A value as it was typed: neither a number nor a name."""
        start = self._at
        self._value()
        return self._tokens[start].text

    def _value(self) -> Any:
        """A number, a constant, or a text, quoted or not."""
        word = self.next
        if word is None or word in (*_KEYWORDS, *_OPERATORS, "(", ")", "[", "]", ","):
            raise self.error("a name or a value")
        token = self._tokens[self._at]
        self._at += 1
        if token.is_quoted:
            return token.text
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        try:
            return float(word) if not re.fullmatch(r"[+-]?\d+", word) else int(word)
        except ValueError:
            return word


def _compared(left: _Operand, operator: str, right: _Operand, text: str) -> _Test:
    if operator in ("==", "="):
        return lambda run: _equal(left(run), right(run))
    if operator == "!=":
        return lambda run: not _equal(left(run), right(run))
    return lambda run: _ordered(left(run), operator, right(run), text)


def _matching(value: _Operand, operator: str, pattern: str) -> _Test:
    return lambda run: _matches(value(run), pattern) == (operator == "~")


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):  # for Python, true equals 1
        return one is other
    return bool(one == other) or (one != one and other != other)  # whoever writes nan looks for runs that diverged


def _matches(value: Any, pattern: str) -> bool:
    if isinstance(value, list):
        return any(_matches(element, pattern) for element in value)
    if value is None:
        return False
    text = value if isinstance(value, str) else json.dumps(value, default=str)  # true, as it is typed
    is_pattern = any(sign in pattern for sign in "*?[")
    return fnmatchcase(text, pattern) if is_pattern else pattern in text


def _ordered(one: Any, operator: str, other: Any, text: str) -> bool:
    if one is None or other is None:
        return False
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    if not numbers and not (isinstance(one, str) and isinstance(other, str)):
        raise UserError(
            f"--where '{text}': {_shown(one)} {operator} {_shown(other)} says nothing",
            expected="two numbers, or two texts, which are compared as in a dictionary",
        )
    return bool(_ORDERS[operator](one, other))


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def only(found: Sequence[Entry], text: str | None) -> list[Entry]:
    """Those runs of some entries for which a condition holds; without a condition, the entries as they are.

    Raises:
        UserError: If it cannot be read, or holds for none.
    """
    if text is None:
        return list(found)
    chosen = parse(text).chosen([Facts(run) for run in runs_of(found)])
    if not chosen:
        raise UserError(f"--where '{text}' holds for none of the runs", fix="runner ls --where shows what it holds for")
    return [facts.run for facts in chosen]
