"""The configuration files, as Hydra puts them together."""

import copy
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from runner.config.catalogue import several
from runner.config.loader import Loader
from runner.config.paths import Places
from runner.config.search import CONFIG_NAME, search_path
from runner.config.typed import by_key


class ConfigFiles:
    """The shipped groups and the user's."""

    def __init__(self, places: Places) -> None:
        self.places = places
        GlobalHydra.instance().clear()
        self.hydra = Hydra.create_main_hydra2("runner", search_path(places))
        self.hydra.config_loader = Loader(places)
        self.is_group = cache(self._is_group)
        self._chosen = cache(self._load)
        self._listed = cache(self._list)

    @property
    def loader(self) -> ConfigLoader:
        """Hydra's loader over the search path."""
        return self.hydra.config_loader

    def load(self, typed: Sequence[str]) -> DictConfig:
        """The configuration of one run: files and overrides put together, with references and what is not set yet.

        The files that overrides choose are read and merged once: most runs of a sweep differ in values alone, which
        takes a tenth of the time.

        Raises:
            HydraException, OmegaConfBaseException: At the first thing that Hydra does not take.
            UserError: If a file cannot be read.
        """
        overrides = OverridesParser.create().parse_overrides(list(typed))
        if any(override.is_sweep_override() for override in overrides):
            return self._load(tuple(typed))  # refused
        composed = copy.deepcopy(self._chosen(self._choosing(overrides)))
        setting = [override for override in overrides if not self._chooses(override)]
        ConfigLoaderImpl._apply_overrides_to_config(setting, composed)
        return composed

    def _load(self, typed: tuple[str, ...]) -> DictConfig:
        return self.loader.load_configuration(CONFIG_NAME, overrides=list(typed), run_mode=RunMode.RUN)

    def _list(self, choosing: tuple[str, ...]) -> list[str]:
        """The files that are merged, in their order."""
        listed = self.loader.compute_defaults_list(CONFIG_NAME, list(choosing), RunMode.RUN).defaults
        return [str(default.config_path) for default in listed]

    def _choosing(self, overrides: Sequence[Override]) -> tuple[str, ...]:
        return tuple(str(override.input_line) for override in overrides if self._chooses(override))

    def _chooses(self, override: Override) -> bool:
        """Whether an override decides which files are merged, as Hydra tells it from one that sets a value."""
        key = override.key_or_group
        is_group = override.package is not None or self.is_group(key)
        return key == "hydra.searchpath" or (is_group and not isinstance(override.value(), dict))

    def _is_group(self, name: str) -> bool:
        """Whether a name is that of a folder of options."""
        return self.loader.get_group_options(name, ObjectType.CONFIG) != []  # with CONFIG_NAME, it reads that again

    def options(self, group: str) -> list[str]:
        """The options of a group, without the base files that they share."""
        return self.loader.get_group_options(group, ObjectType.CONFIG, CONFIG_NAME)

    def choices(self, composed: DictConfig, typed: Sequence[str]) -> dict[str, Any]:
        """The option chosen in each group; a list where options combine, which Hydra does not tell."""
        chosen = OmegaConf.to_container(composed.hydra.runtime.choices)
        assert isinstance(chosen, dict)
        found = {str(group): option for group, option in chosen.items() if not str(group).startswith("hydra/")}
        for group, defaults in several(self.places).items():
            found[group] = self._combined(group, list(defaults), found, typed)
        return found

    def _combined(self, group: str, defaults: list[str], choices: Mapping[str, Any], typed: Sequence[str]) -> list[str]:
        """The options of a group in which they combine."""
        override = by_key(typed).get(group)
        if override:
            value = OverridesParser.create().parse_override(override).value()
            return [str(option) for option in (value if isinstance(value, list) else [value])]
        files = [self.places.file_of(name, str(option)) for name, option in choices.items() if name != group]
        if any(file and f"/{group}" in file.read_text(encoding="utf-8") for file in files) or choices.get("experiment"):
            overrides = OverridesParser.create().parse_overrides(list(typed))
            paths = [path.rpartition("/") for path in self._listed(self._choosing(overrides))]
            return [option for folder, _, option in paths if folder == group and option != "base"]
        return defaults


logging.getLogger("hydra").setLevel(logging.ERROR)
