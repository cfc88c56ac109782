"""The flags of ``runner train`` and other commands that take overrides: those of Hydra that mean something here."""

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from runner.config.catalogue import default_keys
from runner.config.paths import Places
from runner.config.shorthand import is_of_sweeps, shortened, written_out
from runner.errors import UserError, nearest

_HOME = re.compile(r"(?<=[=,\[])~(?=/)")


@dataclass(frozen=True, slots=True)
class Flags:
    """What was typed, taken apart."""

    overrides: list[str]
    multirun: bool
    dry_run: bool
    config_dir: str | None
    cfg: str | None
    resolve: bool
    package: str | None
    info: str | None
    hydra_help: bool

    @property
    def shows_something(self) -> bool:
        """Whether the request is to show the configuration and train nothing."""
        return bool(self.cfg or self.info or self.hydra_help)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}", fix=f"{self.prog} --help")


def parse(args: Sequence[str], command: str = "train") -> Flags:
    """Take a command line apart.

    Args:
        args: What follows the command.
        command: ``train``; ``submit``, for which settings of the launcher are about one run; or one that runs nothing.

    Raises:
        UserError: For a flag that does not exist, lacks its value, or means nothing without another.
    """
    prog = f"runner {command}"
    parser = _Parser(prog=prog, add_help=False, allow_abbrev=False)
    parser.set_defaults(multirun=False, dry_run=False)
    if command in ("train", "submit"):
        parser.add_argument("--multirun", "-m", action="store_true")
        parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    parser.set_defaults(cfg=None, resolve=False, package=None, info=None, hydra_help=False)
    if command == "train":
        _add_showing(parser)
    found, others = parser.parse_known_args(list(args))
    # A shell expands ~ at the start of a word alone, and Hydra does not take it.
    words = [_HOME.sub(os.path.expanduser("~"), word) for word in others if not word.startswith("-")]
    overrides = written_out(words)
    unknown = [word for word in others if word.startswith("-")]
    if unknown:
        flags = [option for action in parser._actions for option in action.option_strings]
        raise _unknown_flag(prog, unknown[0], others[others.index(unknown[0]) + 1 :], flags)
    for name, value in (("--resolve", found.resolve), ("--package", found.package)):
        if value and not found.cfg:
            raise UserError(f"{prog}: {name} says how --cfg prints, and there is no --cfg", fix=f"--cfg job {name}")
    if command == "submit":
        _require_one_run(found.multirun, overrides)
    else:
        alone = next((word for word in overrides if is_of_sweeps(word) and not found.multirun), None)
        if alone or (found.dry_run and not found.multirun):
            raise UserError(
                f"{shortened(alone or '--dry-run')} is about a sweep, and one run is asked for",
                fix="runner train -m KEY=VALUE,VALUE; runner submit sends one run to a cluster",
            )
    return Flags(overrides, **vars(found))


_SHOWING = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--resolve", "--package", "-p")


def _add_showing(parser: argparse.ArgumentParser) -> None:
    """The flags that show how the configuration is put together."""
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--package", "-p")
    parser.add_argument(
        "--info",
        "-i",
        nargs="?",
        const="all",
        choices=["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"],
    )
    parser.add_argument("--hydra-help", action="store_true")


def _require_one_run(multirun: bool, overrides: Sequence[str]) -> None:
    of_sweeper = next((word for word in overrides if re.match(r"[+~]*hydra[./]sweeper\b", word)), None)
    if multirun or of_sweeper:
        raise UserError(
            f"{shortened(of_sweeper or '-m')} is about a sweep, and runner submit sends one run",
            fix="runner train -m launcher=slurm KEY=VALUE,VALUE",
        )


def _unknown_flag(prog: str, flag: str, after: Sequence[str], flags: Sequence[str]) -> UserError:
    """What to say of a flag that does not exist: as a rule it is a setting, which other programs take as a flag."""
    name, _, value = flag.lstrip("-").partition("=")
    key = key_called(name)
    if key is None and prog != "runner train" and flag.partition("=")[0] in _SHOWING:
        return UserError(f"{prog}: there is no flag {flag}", fix=f"runner train {flag} shows the same configuration")
    if key is None:
        return UserError(f"{prog}: there is no flag {flag}", nearest=nearest(flag, flags), fix=f"{prog} --help")
    if not value and after and not after[0].startswith("-") and "=" not in after[0]:
        value = after[0]
    return UserError(
        f"{prog}: there is no flag {flag}: settings are typed as KEY=VALUE", fix=f"{key}={value or 'VALUE'}"
    )


def key_called(name: str) -> str | None:
    """The setting or group that somebody means by ``lr`` or ``batch-size``: ``optimizer.lr``, ``data.batch_size``."""
    wanted = name.replace("-", "_").lower()
    keys = default_keys(Places.shipped())
    return next((key for key in keys if key == wanted or key.endswith(f".{wanted}")), None)
