"""What an override that is being typed may become: groups, options, keys and values, as Hydra knows them."""

import re
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.plugins.completion_plugin import DefaultCompletionPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.loader import Loader
from runner.config.paths import Places
from runner.config.search import CONFIG_NAME
from runner.config.shorthand import shortened, written_out
from runner.errors import UserError

# A sweep over values, up to the end of the first: model=mlp,unet
_FIRST_TRIAL = re.compile(r"([^=]+=[^,\[{('\"]+),.*")
# The last entry of a sweep or of a list, what stands before it, and the key: model=mlp,le   regularization=[none,cl
_LAST_ENTRY = re.compile(r"(?P<key>[^=]+=)(?P<before>\[|\[?(?:[^\[\],]*,)+)(?P<last>[^\[\],]*)")


class OverrideCompletion:
    """Completes overrides over the shipped configuration and the user's."""

    def __init__(self, places: Places) -> None:
        setup_globals()  # resolvers that interpolations of Hydra's own settings need
        self._loader = Loader(places)
        self._hydra = DefaultCompletionPlugin(self._loader)

    def of(self, word: str, typed: Sequence[str]) -> list[str]:
        """Everything that ``word`` may be completed to.

        Args:
            word: The override up to the cursor.
            typed: The overrides before it: ``model=unet`` brings other keys than ``model=mlp``. Of a sweep, the first
                trial counts. Where they contain a mistake, they are left out of account.
        """
        typed = [_FIRST_TRIAL.sub(r"\1", override) for override in typed]
        entry = _LAST_ENTRY.fullmatch(word)
        if entry:
            used = set(re.split(r"[\[,]", entry["before"]))
            found = self.of(entry["key"] + entry["last"], typed)
            values = [candidate.removeprefix(entry["key"]) for candidate in found]
            return [entry["key"] + entry["before"] + value for value in values if value not in used]
        try:
            found = self._candidates(word, typed)
        except (HydraException, OmegaConfBaseException, UserError):
            found = self._candidates(word, ()) if typed else []
        return sorted(set(found) - {word})

    def of_launching(self, word: str, typed: Sequence[str]) -> list[str]:
        """The same for a setting of a launcher or sweeper by its short name, such as ``launcher.time``."""
        found = self.of(written_out([word])[0], written_out(typed))
        return [shortened(name) for name in found if not name.endswith(("._target_=", "=basic"))]

    def _candidates(self, word: str, typed: Sequence[str]) -> list[str]:
        groups, is_option = self._hydra._query_config_groups(word, CONFIG_NAME, list(typed))
        if is_option:
            return list(groups)
        config = self._loader.load_configuration(CONFIG_NAME, overrides=list(typed), run_mode=RunMode.RUN)
        if "=" in word:
            return _values(config, word)
        keys = self._hydra._get_matches(config, word)
        # Hydra ends lists like nodes, to set one entry, and leaves a folder of both options and folders bare.
        keys = [f"{key[:-1]}=" if _is_list(config, key[:-1]) else key for key in keys]
        return keys + [group if group.endswith(("=", "/")) or word.startswith("~") else f"{group}/" for group in groups]


def _is_list(config: DictConfig, key: str) -> bool:
    return isinstance(OmegaConf.select(config, key, throw_on_resolution_failure=False), ListConfig)


def _values(config: DictConfig, word: str) -> list[str]:
    """The value that the key of ``word`` has now, and all others where it is one of a few words."""
    key = word.partition("=")[0]
    value = OmegaConf.select(config, key.lstrip("+"))
    if isinstance(value, bool):
        values = ["false", "true"]
    elif isinstance(value, ListConfig) and not any(map(OmegaConf.is_config, value)):
        values = [f"[{','.join(map(str, value))}]"]
    elif value is None or OmegaConf.is_config(value):
        values = []
    elif isinstance(value, str):
        values = [*_words(config, key.lstrip("+")), value]
    else:
        values = [str(value)]
    return [candidate for candidate in (f"{key}={value}" for value in values) if candidate.startswith(word)]


def _words(config: DictConfig, key: str) -> list[str]:
    """The words of which a setting is one; empty where it may be any text, or is not there."""
    from runner.config.check import allowed  # here, as it takes longer to import than to complete a key
    from runner.config.sections.launching import OfHydra

    path = tuple(key.split("."))
    values: Any = OmegaConf.to_container(config, resolve=False)
    hydra = values.pop("hydra")
    try:
        if path[0] == "hydra":
            return allowed({"hydra": {name: hydra[name] for name in ("launcher", "sweeper")}}, path, OfHydra)
        return allowed(values, path)
    except (KeyError, TypeError):
        return []
