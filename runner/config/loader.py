"""Hydra's loader over the user's folders and the shipped one: where Hydra breaks off, it tells what is wrong."""

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner.config.catalogue import optional, single
from runner.config.origin import shorten
from runner.config.paths import Places
from runner.config.search import search_path
from runner.config.typed import first_line
from runner.errors import UserError


class CircularDefaultsError(ConfigCompositionException):
    """A defaults list leads back to the file that it stands in."""


class Loader(ConfigLoaderImpl):
    """Hydra's loader, for which a file that cannot be read and an option without a name are mistakes like others.

    Everything that it does may raise UserError, for a file that cannot be read.
    """

    def __init__(self, places: Places) -> None:
        super().__init__(search_path(places))
        self.repository = _Files(self.config_search_path)
        self._places = places

    def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:
        """As Hydra's.

        Raises:
            CircularDefaultsError: If a defaults list leads back to its file, which Hydra follows without end.
        """
        try:
            return super().load_configuration(*args, **kwargs)
        except RecursionError:
            raise CircularDefaultsError("a defaults list leads back to its own file") from None

    def get_group_options(self, *args: Any, **kwargs: Any) -> list[str]:
        """As Hydra's, without the base files that options share: ``model=glob(*)`` is every model."""
        return [option for option in super().get_group_options(*args, **kwargs) if option != "base"]

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed, repository = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        return self._by_name(parsed, repository), repository

    def _by_name(self, overrides: Sequence[Override], repository: CachingConfigRepository) -> list[Override]:
        """Overrides without ``experiment=null``, which takes back what was chosen in a group that needs no option.

        Raises:
            ConfigCompositionException: For an option that is not a text, such as ``model=3``; for several of a group
                of which a run has one, which Hydra would merge.
        """
        kept: list[Override] = []
        for override in overrides:
            key = override.get_key_element()
            if _chooses_nothing(override) and key in optional(self._places):
                kept = [one for one in kept if one.get_key_element() != key]
            elif repository.group_exists(override.key_or_group) and not _is_by_name(override):
                raise ConfigCompositionException(f"{override.input_line}: an option is a name")
            elif isinstance(override.value(), list) and override.key_or_group in single(self._places):
                raise ConfigCompositionException(f"{override.input_line}: a run has one option of that group")
            else:
                kept.append(override)
        return kept


def _chooses_nothing(override: Override) -> bool:
    return not override.is_delete() and not override.is_sweep_override() and override.value() is None


def _is_by_name(override: Override) -> bool:
    """Whether options are called by texts, where an override of a group is about options at all."""
    value = override.value()
    if override.is_sweep_override() or isinstance(value, dict) or (override.is_delete() and value is None):
        return True
    return all(isinstance(name, str) for name in (value if isinstance(value, list) else [value]))


class _Files(ConfigRepository):
    """Where Hydra gets the content of files from."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The content of a file.

        Raises:
            UserError: If it cannot be read, or is not made of keys with values.
        """
        try:
            found = super().load_config(config_path)
        except HydraException:
            raise
        except (yaml.YAMLError, ValueError, OSError, OmegaConfBaseException) as error:
            raise _unreadable(config_path, self._file(config_path), error) from None
        if found is None:
            return None
        if not isinstance(found.config, DictConfig):
            raise UserError(
                f"{config_path} is a list",
                where=shorten(self._file(config_path)),
                expected="a line `key: value` for each setting",
            )
        if setting := _without_blank(found.config):
            raise UserError(
                f"{config_path} is the text {setting}",
                where=shorten(self._file(config_path)),
                fix=f"a blank after the colon: {setting.replace(':', ': ', 1)}",
            )
        if not found.header.get("package") and self._is_marked(config_path):
            raise UserError(
                f"{config_path} begins with a byte order mark, which hides its first line",
                where=shorten(self._file(config_path)),
                fix="save it as UTF-8 without one",
            )
        return found

    def _is_marked(self, config_path: str) -> bool:
        file = self._file(config_path)
        return file.is_file() and file.read_bytes().startswith(codecs.BOM_UTF8)

    def _file(self, config_path: str) -> Path:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        assert source is not None, "it was read"
        return Path(source.path, f"{config_path.removesuffix('.yaml')}.yaml")


def _without_blank(config: DictConfig) -> str | None:
    """The only line of a file such as ``epochs:3``, which YAML takes for a text and OmegaConf for a key."""
    only = str(next(iter(config))) if len(config) == 1 else ""
    return only if ":" in only and config.get(only) is None else None


def _unreadable(name: str, file: Path, error: Exception) -> UserError:
    """What is wrong with a file, and in which line where that is known."""
    reason, line, fix = first_line(error), None, None
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        reason, line = error.problem or reason, error.problem_mark.line + 1
    elif isinstance(error, yaml.reader.ReaderError):  # its position counts characters
        line = file.read_text(encoding="utf-8").count("\n", 0, error.position) + 1
    elif isinstance(error, UnicodeDecodeError):  # its position counts from the start of what was read at once
        reason, line, fix = "it is not UTF-8", _line_not_utf8(file), "save it as UTF-8"
    return UserError(
        f"{name} cannot be read: {reason}", where=shorten(file) + (f", line {line}" if line else ""), fix=fix
    )


def _line_not_utf8(file: Path) -> int | None:
    try:
        file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        return bytes(error.object).count(b"\n", 0, error.start) + 1
    return None
