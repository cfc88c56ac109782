"""``runner -sc install=SHELL|uninstall=SHELL|query=SHELL``: tab completion for bash, zsh and fish.

``install`` prints the lines that a shell evaluates; they ask ``query`` at every press of the TAB key, with what was
typed in ``COMP_LINE``. Only what needs Hydra imports it: everything else answers in less than a tenth of a second.
"""

import contextlib
import importlib
import io
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import COMMANDS
from runner.errors import UserError
from runner.shell.line import Line, for_bash, for_fish, for_zsh
from runner.shell.paths import is_run, paths, runs
from runner.shell.scripts import SCRIPTS

if TYPE_CHECKING:
    from runner.config.completion import OverrideCompletion

SHELLS = ("bash", "zsh", "fish")
TAKES_OVERRIDES = ("train", "submit", "summary", "data")
"""Commands that are followed by overrides; the others take directories."""

TAKES_FOLDERS = ("compare", "report", "board")
"""Commands that take as many directories as are typed, and no files."""

# In the text of a command's --help: a flag's short form, the flag, and what it takes.
_FLAG = re.compile(r"(?<![\w-])(?:(-\w+), )?(--?[a-z][\w-]*)(?:[ =]\[?(\{[^}]*\}|[\w-]+(?:\|[\w-]+)+|[A-Z]{2,}\b))?")


def main(args: Sequence[str]) -> int:
    """Print a script, or the candidates for a line; give the exit code.

    Raises:
        UserError: If the request is none of those, or a query comes without a line.
    """
    action, _, shell = (args[0] if len(args) == 1 else "").partition("=")
    if shell not in SHELLS or action not in (*SCRIPTS, "query"):
        raise UserError(
            f"runner -sc {' '.join(args)}: this is not understood",
            expected=f"install=SHELL or uninstall=SHELL, where SHELL is one of {', '.join(SHELLS)}",
            fix='eval "$(runner -sc install=bash)" in ~/.bashrc, likewise zsh; runner -sc install=fish | source',
        )
    if action in SCRIPTS:
        print(SCRIPTS[action][shell].strip())
        return 0
    if "COMP_LINE" not in os.environ:
        raise UserError("runner -sc query: COMP_LINE is not set", expected="the line to complete")
    line = Line.read(os.environ["COMP_LINE"])
    found = candidates(line)
    if shell == "bash":
        answer = for_bash(found, line, os.environ.get("COMP_WORDBREAKS", ""))
    else:
        answer = for_zsh(found) if shell == "zsh" else for_fish(found)
    print("".join(f"{entry}\n" for entry in answer), end="")
    return 0


def candidates(line: Line) -> dict[str, str]:
    """What the word at the cursor may become, each with a line of explanation (or nothing)."""
    typed = line.words[1:]
    if not typed:
        top = dict(COMMANDS) if not line.word.startswith("-") else {"--help": "the commands", "--version": ""}
        return {name: text for name, text in top.items() if name.startswith(line.word)}
    command, *before = typed
    if command not in COMMANDS:
        return {}
    after_flag = _after_flag(command, before, line.word)
    if after_flag is not None:
        return dict.fromkeys(after_flag, "")
    if command in TAKES_OVERRIDES:
        found = _overrides(command, before, line.word)
        return found | dict.fromkeys(runs(line.word), "") if command == "submit" and not before else found
    only_folders = command in TAKES_FOLDERS or all(word.startswith("-") for word in before)
    ordinary = (path.rstrip("/") if is_run(path) else path for path in paths(line.word, only_folders=only_folders))
    return dict.fromkeys([*runs(line.word), *ordinary], "")


def _after_flag(command: str, before: Sequence[str], word: str) -> list[str] | None:
    """Flags, or the values of one; None when something else is being typed."""
    last = before[-1] if before else ""
    if not word.startswith("-") and not last.startswith("-"):
        return None
    flags = _flags(command)
    flag, equals, value = word.partition("=")
    if word.startswith("-") and not equals:
        return [flag for flag in flags if flag.startswith(word)]
    if word.startswith("-"):
        return [f"{flag}={found}" for found in _flag_values(flags.get(flag, ""), value)]
    return _flag_values(flags.get(last, ""), word) or None


def _flags(command: str) -> dict[str, str]:
    """The flags of a command and what each takes (``{a,b}``, ``a|b|FILE``, ``DIR`` or nothing), from its own help."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):  # argparse exits after its help
        importlib.import_module(f"runner.commands.{command}").main(["--help"])
    found: dict[str, str] = {}
    for short, long, value in _FLAG.findall(text.getvalue()):
        for flag in filter(None, (short, long)):
            found[flag] = found.get(flag) or value
    return found


def _flag_values(takes: str, word: str) -> list[str]:
    if takes == "DIR":
        return paths(word, only_folders=True)
    values = [value for value in re.split(r"[{},|]", takes) if value and value.startswith(word)]
    names = [value for value in values if not value.isupper()]
    return names + (paths(word) if "FILE" in takes else [])


def _overrides(command: str, before: Sequence[str], word: str) -> dict[str, str]:
    key, equals, value = word.partition("=")
    if equals and value.startswith(("/", "./", "../", "~/")):
        return dict.fromkeys((f"{key}={path}" for path in paths(value)), "")

    from runner.config.catalogue import groups, root_settings
    from runner.config.completion import OverrideCompletion
    from runner.config.paths import Places

    places = Places.find(_config_dir(before), Path.cwd())
    typed = [word for word in before if not word.startswith("-") and ("=" in word or word.startswith("~"))]
    found = _of_launching(command, before, word, typed, OverrideCompletion(places))
    if equals and not found:
        found = [f"{key}={path}" for path in paths(value)]
    texts = {f"{group.name}={option.name}": option.text for group in groups(places) for option in group.options}
    texts |= {f"{setting.key}=": setting.text for setting in root_settings(places)}
    return {candidate: texts.get(candidate, "") for candidate in found}


def _of_launching(
    command: str, before: Sequence[str], word: str, typed: list[str], completion: "OverrideCompletion"
) -> list[str]:
    """Candidates for an override, with the settings of launching where they have a meaning."""
    names: tuple[str, ...] = ()
    if command == "submit":
        names = ("launcher",)
        typed = typed if any(one.startswith("launcher=") for one in typed) else ["launcher=slurm", *typed]
    elif command == "train" and {"-m", "--multirun"} & set(before):
        names = ("launcher", "sweeper")
    if word.startswith(tuple(f"{name}{sign}" for name in names for sign in ".=")):
        return completion.of_launching(word, typed)
    begun = [f"{name}{sign}" for name in names for sign in ".=" if name.startswith(word)]
    return completion.of(word, [one for one in typed if not one.startswith(("launcher", "sweeper"))]) + begun


def _config_dir(words: Sequence[str]) -> str | None:
    for word, following in pairwise([*words, ""]):
        flag, equals, value = word.partition("=")
        if flag in ("--config-dir", "-cd"):
            return value if equals else following
    return None
