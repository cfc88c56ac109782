"""From what was typed to one complete configuration, or to every mistake in it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from runner.config.diagnose import diagnose
from runner.config.files import ConfigFiles
from runner.config.flags import Flags
from runner.config.paths import Places
from runner.config.search import CONFIG_NAME
from runner.config.settle import plain, settled
from runner.errors import UserError, UserErrors, listing, nearest


@dataclass(frozen=True, slots=True)
class Composed:
    """One run as it was asked for: complete, resolved and checked."""

    config: dict[str, Any]
    choices: dict[str, Any]
    typed: list[str]


class Composer:
    """Composes configurations from the shipped groups and the user's.

    Args:
        places: Where both are.
        of_data_alone: Whether it does not matter what is trained on the data.
    """

    def __init__(self, places: Places, of_data_alone: bool = False) -> None:
        self.places = places
        self.files = ConfigFiles(places)
        self._of_data_alone = of_data_alone

    def compose(self, typed: Sequence[str]) -> Composed:
        """Compose one run from overrides, fill in what the data knows, resolve and check it.

        Raises:
            UserErrors: With every mistake in what was typed.
        """
        try:
            composed = self.files.load(typed)
        except (HydraException, OmegaConfBaseException) as error:
            raise self.explained(typed, error) from None
        errors, config = settled(self.files, composed, typed, self._of_data_alone)
        if errors:
            raise UserErrors(errors)
        return Composed(config, self.files.choices(composed, typed), list(typed))

    def explained(self, typed: Sequence[str], refusal: Exception) -> UserErrors:
        """Every mistake in overrides that Hydra refused."""
        return UserErrors(diagnose(self.files, typed, refusal, self._of_data_alone))

    def show(self, flags: Flags) -> int:
        """Print the configuration, or how it was put together, as Hydra does; a mistake in it is told our way."""
        self.compose(flags.overrides)
        if flags.cfg and self._shown(flags) is None:
            print("null")  # of which Hydra would say that it is not there
        elif flags.cfg:
            self.files.hydra.show_cfg(CONFIG_NAME, flags.overrides, flags.cfg, flags.package, flags.resolve)
        elif flags.info:
            logging.getLogger("hydra").setLevel(logging.DEBUG)  # Hydra prints these pages by logging them
            logging.raiseExceptions = False  # a reader such as head may leave early
            self.files.hydra.show_info(flags.info, CONFIG_NAME, flags.overrides)
        else:
            self.files.hydra.hydra_help(CONFIG_NAME, get_args_parser(), get_args_parser().parse_args(["--hydra-help"]))
        return 0

    def _shown(self, flags: Flags) -> Any:
        """What ``--cfg`` is to print: the whole configuration, or the part that ``--package`` names.

        Raises:
            UserError: If there is no such part.
        """
        config = self.files.hydra.get_sanitized_cfg(self.files.load(flags.overrides), str(flags.cfg))
        node: Any = plain(config, resolve=False)
        for key in (flags.package or "_global_").split("."):
            if key == "_global_" or not isinstance(node, Mapping):  # Hydra enters lists and follows references
                return node
            if key not in node:
                raise UserError(
                    f"--package {flags.package}: there is no {key}", expected=listing(node), nearest=nearest(key, node)
                )
            node = node[key]
        return node
