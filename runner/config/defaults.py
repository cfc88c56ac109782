"""What is wrong with a defaults list that Hydra refused: the file, the line in it, and how to mend it."""

import re
from collections.abc import Sequence

from hydra.errors import HydraException, MissingConfigException

from runner.config.catalogue import groups
from runner.config.entries import Entry, entries
from runner.config.files import ConfigFiles
from runner.config.loader import CircularDefaultsError
from runner.config.search import CONFIG_NAME
from runner.config.typed import first_line
from runner.errors import UserError, listing, nearest

_IN_FILE = re.compile(r"In '?(?P<file>[^':]+)'?: |Duplicate _self_ defined in (?P<twice>.+)")
_NOT_IN_LIST = re.compile(r"Could not override '(?P<group>[^'@]+)")
_SEVERAL = re.compile(r"Multiple values for (?P<group>[^@]+?)(?:@.*)?\. ")
_TOO_EARLY = re.compile(r"Override '(?P<group>[^'@ ]+)\S* : \S+' is defined before")


def mistake(files: ConfigFiles, choosing: Sequence[str], refusal: HydraException) -> UserError:
    """The mistake in a defaults list.

    Args:
        files: That are put together.
        choosing: The overrides that choose options, as they were typed.
        refusal: What Hydra raised.
    """
    what = first_line(refusal)
    found = [entry for name in (CONFIG_NAME, *_chosen(choosing)) for entry in entries(files.places, name)]
    in_file = _IN_FILE.search(what)
    of_file = [entry for entry in found if in_file and entry.file in in_file.groups()]
    if isinstance(refusal, MissingConfigException):
        return _no_such_file(files, what, found, str(refusal.missing_cfg_file))
    if isinstance(refusal, CircularDefaultsError):
        circle = [entry for entry in found if entry.is_circle]
        return UserError(
            f"{circle[0].target if circle else 'a file'} starts from itself",
            where=_where(circle),
            fix="another name for the file, if it is to start from a shipped one",
        )
    if match := _SEVERAL.match(what):
        return _chosen_twice(choosing, found, match["group"])
    if match := _NOT_IN_LIST.search(what):
        return _nothing_to_override(files, what, of_file, match["group"])
    if match := _TOO_EARLY.search(what):
        early = [entry for entry in of_file if entry.is_override and entry.group == match["group"]]
        return UserError(what, where=_where(early), fix="that line below those without override")
    return UserError(what, where=_where([entry for entry in of_file if entry.option == "_self_"][1:]))


def _chosen(choosing: Sequence[str]) -> list[str]:
    """The files that overrides choose."""
    typed = [text.partition("=") for text in choosing]
    return [f"{group.lstrip('+')}/{option}" for group, _, several in typed for option in several.strip("[]").split(",")]


def _chosen_twice(choosing: Sequence[str], found: Sequence[Entry], group: str) -> UserError:
    typed = next((text for text in choosing if text.partition("=")[0] == f"+{group}"), None)
    if typed:
        return UserError(f"{typed}: {group} is in the defaults list without it", fix=typed.removeprefix("+"))
    several = [one for one in found if one.group == group and not one.is_override and one.file != CONFIG_NAME]
    option = several[0].option if several else "OPTION"
    return UserError(f"{group} is chosen twice", where=_where(several), fix=f"override /{group}: {option}")


def _no_such_file(files: ConfigFiles, what: str, found: Sequence[Entry], name: str) -> UserError:
    group, _, option = name.rpartition("/")
    present = files.options(group) if group else []
    return UserError(
        what.partition(": ")[2] or what,  # in front of it, the file that would be right if nothing were overridden
        where=_where([entry for entry in found if entry.target == name]),
        expected=listing(present),
        nearest=nearest(option, present),
    )


def _nothing_to_override(files: ConfigFiles, what: str, found: Sequence[Entry], group: str) -> UserError:
    entries_of_group = [one for one in found if one.is_override and one.group == group]
    where = _where(entries_of_group)
    option = entries_of_group[0].option if entries_of_group else "OPTION"
    known = [one.name for one in groups(files.places)]
    if group in known:  # no option of it is chosen by default
        return UserError(what, where=where, fix=f"/{group}: {option}, without override" if where else f"+{group}=...")
    last = group.rpartition("/")[2]  # without its slash, a group is looked for in the folder of the file
    close = last if last in known else nearest(group, known)
    return UserError(
        what,
        where=where,
        expected=listing(known),
        nearest=close,
        fix=f"override /{close}: {option}" if close else None,
    )


def _where(found: Sequence[Entry]) -> str | None:
    return listing(dict.fromkeys(entry.where for entry in found)) or None
