"""The flags of ``runner train``: those of Hydra that mean something here."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from runner.errors import UserError, nearest


@dataclass(frozen=True, slots=True)
class Flags:
    """What was typed, taken apart."""

    overrides: list[str]
    multirun: bool
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
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        options = [option for action in self._actions for option in action.option_strings]
        raise UserError(f"runner train: {message}", nearest=nearest(unknown, options), fix="runner train --help")


def parse(args: Sequence[str]) -> Flags:
    """Take a command line apart.

    Raises:
        UserError: For a flag that does not exist or lacks its value.
    """
    parser = _Parser(prog="runner train", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--multirun", "-m", action="store_true")
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
    found = parser.parse_intermixed_args(list(args))
    return Flags(
        overrides=found.overrides,
        multirun=found.multirun,
        config_dir=found.config_dir,
        cfg=found.cfg,
        resolve=found.resolve,
        package=found.package,
        info=found.info,
        hydra_help=found.hydra_help,
    )
