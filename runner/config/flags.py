"""The flags of ``runner train``: those of Hydra that mean something here."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from runner.config.catalogue import default_keys
from runner.config.paths import Places, shipped_conf
from runner.config.shorthand import is_of_sweeps, written_out
from runner.errors import UserError, nearest


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
        raise UserError(f"runner train: {message}", fix="runner train --help")


def parse(args: Sequence[str]) -> Flags:
    """Take a command line apart.

    Raises:
        UserError: For a flag that does not exist, lacks its value, or means nothing without another.
    """
    parser = _Parser(prog="runner train", add_help=False, allow_abbrev=False)
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--config-dir", "-cd")
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
    found, others = parser.parse_known_args(list(args))
    overrides = written_out([word for word in others if not word.startswith("-")])
    unknown = [word for word in others if word.startswith("-")]
    if unknown:
        flags = [option for action in parser._actions for option in action.option_strings]
        raise _unknown_flag(unknown[0], others[others.index(unknown[0]) + 1 :], flags)
    for name, value in (("--resolve", found.resolve), ("--package", found.package)):
        if value and not found.cfg:
            raise UserError(
                f"runner train: {name} says how --cfg prints, and there is no --cfg", fix=f"--cfg job {name}"
            )
    alone = next((word for word in overrides if is_of_sweeps(word) and not found.multirun), None)
    if alone or (found.dry_run and not found.multirun):
        raise UserError(
            f"{alone or '--dry-run'} is about a sweep, and one run is asked for", fix="runner train -m KEY=VALUE,VALUE"
        )
    return Flags(
        overrides=overrides,
        multirun=found.multirun,
        dry_run=found.dry_run,
        config_dir=found.config_dir,
        cfg=found.cfg,
        resolve=found.resolve,
        package=found.package,
        info=found.info,
        hydra_help=found.hydra_help,
    )


def _unknown_flag(flag: str, after: Sequence[str], flags: Sequence[str]) -> UserError:
    """What to say of a flag that does not exist: as a rule it is a setting, which other programs take as a flag."""
    name, _, value = flag.lstrip("-").partition("=")
    key = key_called(name)
    if key is None:
        return UserError(
            f"runner train: there is no flag {flag}", nearest=nearest(flag, flags), fix="runner train --help"
        )
    if not value and after and not after[0].startswith("-") and "=" not in after[0]:
        value = after[0]
    return UserError(
        f"runner train: there is no flag {flag}: settings are typed as KEY=VALUE", fix=f"{key}={value or 'VALUE'}"
    )


def key_called(name: str) -> str | None:
    """The setting or group that somebody means by ``lr`` or ``batch-size``: ``optimizer.lr``, ``data.batch_size``."""
    wanted = name.replace("-", "_").lower()
    keys = default_keys(Places((shipped_conf(),), ()))
    return next((key for key in keys if key == wanted or key.endswith(f".{wanted}")), None)
