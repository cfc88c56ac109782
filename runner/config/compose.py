"""From what was typed to one complete configuration, or to every mistake in it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.catalogue import several
from runner.config.check import known_keys, mistakes, unknown_key
from runner.config.facts import fill_facts
from runner.config.fit import misfits
from runner.config.flags import Flags, key_called
from runner.config.keys import arguments, not_set, stray_keys
from runner.config.leaves import leaves
from runner.config.origin import Origin
from runner.config.paths import Places
from runner.config.search import CONFIG_NAME, search_path
from runner.config.shorthand import is_of_sweeps
from runner.errors import UserError, UserErrors, listing, nearest

QUOTING = """quote a value that holds = , : [ ] { } or blanks: 'key="a=b"'"""


@dataclass(frozen=True, slots=True)
class Composed:
    """One run as it was asked for: complete, resolved and checked."""

    config: dict[str, Any]
    choices: dict[str, Any]
    typed: list[str]


class Composer:
    """Composes configurations from the shipped groups and the user's."""

    def __init__(self, places: Places) -> None:
        self.places = places
        GlobalHydra.instance().clear()
        self.hydra = Hydra.create_main_hydra2("runner", search_path(places))

    @property
    def loader(self) -> ConfigLoader:
        """Hydra's loader over the search path."""
        return self.hydra.config_loader

    def compose(self, typed: Sequence[str], of_data_alone: bool = False) -> Composed:
        """Compose, resolve and check one run.

        Args:
            typed: The overrides.
            of_data_alone: Whether it does not matter what is trained on the data.

        Raises:
            UserErrors: With every mistake in what was typed.
        """
        try:
            composed = self._load(typed)
        except (HydraException, OmegaConfBaseException) as error:
            raise self.explained(typed, error) from None
        return self.settle(composed, typed, of_data_alone)

    def explained(self, typed: Sequence[str], refusal: Exception) -> UserErrors:
        """Every mistake in overrides that Hydra refused."""
        return UserErrors(self._diagnose(typed, refusal))

    def settle(self, composed: DictConfig, typed: Sequence[str], of_data_alone: bool = False) -> Composed:
        """Fill in what the data knows, resolve and check a configuration that Hydra composed."""
        errors, config = self._settled(composed, typed, of_data_alone)
        if errors:
            raise UserErrors(errors)
        return Composed(config, self._choices(composed, typed), list(typed))

    def _load(self, typed: Sequence[str], run_mode: RunMode = RunMode.RUN) -> DictConfig:
        return self.loader.load_configuration(CONFIG_NAME, overrides=list(typed), run_mode=run_mode)

    def _settled(
        self, composed: DictConfig, typed: Sequence[str], of_data_alone: bool = False
    ) -> tuple[list[UserError], dict[str, Any]]:
        choices = self._choices(composed, typed)
        origin = Origin(self.places, choices, _by_key(typed))
        config = OmegaConf.create({key: node for key, node in composed.items_ex(resolve=False) if key != "hydra"})
        missing = [not_set(tuple(key.split(".")), origin) for key in sorted(OmegaConf.missing_keys(config))]
        errors = missing + fill_facts(config, origin)
        if config.get("name") == "auto":
            config.name = f"{choices.get('model')}-{choices.get('data')}"
        try:
            plain = _plain(config, resolve=True)
        except OmegaConfBaseException as error:
            key = str(error.full_key)
            return [*errors, UserError(f"{key}: {error.msg}", where=origin.of(key.split(".")))], {}
        known = {str(error).split(" ", 1)[0] for error in errors}
        errors += [error for error in mistakes(plain, origin) if str(error).split("=", 1)[0] not in known]
        errors += [error for error in stray_keys(plain, origin) if str(error) not in map(str, errors)]
        return errors or misfits(plain, origin, of_data_alone), plain

    def _choices(self, composed: DictConfig, typed: Sequence[str]) -> dict[str, Any]:
        """The option chosen in each group; a list where options combine, which Hydra does not tell."""
        chosen = OmegaConf.to_container(composed.hydra.runtime.choices)
        assert isinstance(chosen, dict)
        found = {str(group): option for group, option in chosen.items() if not str(group).startswith("hydra/")}
        for group, defaults in several(self.places).items():
            found[group] = self._combined(group, list(defaults), found, typed)
        return found

    def _combined(self, group: str, defaults: list[str], choices: Mapping[str, Any], typed: Sequence[str]) -> list[str]:
        """The options of a group in which they combine."""
        override = _by_key(typed).get(group)
        if override:
            value = OverridesParser.create().parse_override(override).value()
            return [str(option) for option in (value if isinstance(value, list) else [value])]
        files = [self.places.file_of(name, str(option)) for name, option in choices.items() if name != group]
        if any(file and f"/{group}" in file.read_text(encoding="utf-8") for file in files) or choices.get("experiment"):
            listed = self.loader.compute_defaults_list(CONFIG_NAME, list(typed), RunMode.RUN).defaults
            paths = [str(default.config_path).rpartition("/") for default in listed]
            return [option for folder, _, option in paths if folder == group and option != "base"]
        return defaults

    def show(self, flags: Flags) -> int:
        """Print the configuration, or how it was put together, as Hydra does; a mistake in it is told our way."""
        self.compose(flags.overrides)
        if flags.cfg:
            self.hydra.show_cfg(CONFIG_NAME, flags.overrides, flags.cfg, flags.package, flags.resolve)
        elif flags.info:
            logging.getLogger("hydra").setLevel(logging.DEBUG)  # Hydra prints these pages by logging them
            logging.raiseExceptions = False  # a reader such as head may leave early
            self.hydra.show_info(flags.info, CONFIG_NAME, flags.overrides)
        else:
            self.hydra.hydra_help(CONFIG_NAME, get_args_parser(), get_args_parser().parse_args(["--hydra-help"]))
        return 0

    # --- explaining what Hydra refused ----------------------------------------------------------------------------

    def _diagnose(self, typed: Sequence[str], refusal: Exception) -> list[UserError]:
        """Every mistake in overrides that Hydra refused: it stops at the first, so each is looked at alone."""
        errors: list[UserError] = []
        choosing: list[str] = []
        setting: list[tuple[str, Override]] = []
        broken: set[str] = set()
        sweeping: list[tuple[str, Override, bool]] = []
        overrides, unreadable = read(typed)
        errors += unreadable
        for text, override in overrides.items():
            is_group = self._is_group(override.get_key_element().lstrip("+~"))
            if override.is_sweep_override():
                sweeping.append((text, override, is_group))
            elif is_group:
                wrong = self._unknown_options(override)
                errors += wrong
                if wrong:
                    broken.add(override.key_or_group)
                else:
                    choosing.append(text)
            else:
                setting.append((text, override))
        try:
            base = self._load(choosing)
        except (HydraException, OmegaConfBaseException) as error:
            return [*errors, UserError(_first_line(error))]
        plain = _plain(base, resolve=False)
        origin = Origin(self.places, self._choices(base, choosing), _by_key(typed))
        for text, override, is_group in sweeping:
            errors += self._several_values(text, override, is_group, plain, origin)
        known = []
        for text, override in setting:
            path = tuple(override.key_or_group.split("."))
            if path[0] in broken:
                continue
            is_open = override.is_add() or (path[0] == "hydra" and not is_of_sweeps(text))
            problem = None if is_open else self._unknown(path, plain, origin, text)
            if problem:
                errors.append(problem)
            else:
                known.append(text)
        refused = self._refused_by_hydra(choosing, known)
        errors += refused.values()
        good = [*choosing, *(text for text in known if text not in refused)]
        errors += [error for error in self._settled(self._load(good), good)[0] if str(error) not in map(str, errors)]
        return errors or [UserError(_first_line(refusal))]

    def _refused_by_hydra(self, choosing: list[str], texts: list[str]) -> dict[str, UserError]:
        """What Hydra says of overrides whose keys exist, each by itself; nothing when it takes them all."""
        try:
            self._load([*choosing, *texts])
            return {}
        except (HydraException, OmegaConfBaseException):
            pass
        refused = {}
        for text in texts:
            try:
                self._load([*choosing, text])
            except (HydraException, OmegaConfBaseException) as error:
                refused[text] = UserError(f"{text}: {_first_line(error)}")
        return refused

    def _is_group(self, name: str) -> bool:
        return self.loader.get_group_options(name, ObjectType.CONFIG, CONFIG_NAME) != []

    def options(self, group: str) -> list[str]:
        """The options of a group, without the base files that they share."""
        found = self.loader.get_group_options(group, ObjectType.CONFIG, CONFIG_NAME)
        return [option for option in found if option != "base"]

    def _several_values(
        self, text: str, override: Override, is_group: bool, plain: Mapping[str, Any], origin: Origin
    ) -> list[UserError]:
        """What is wrong with values that are separated by commas, where one run is asked for."""
        key, _, value = text.partition("=")
        path = tuple(key.lstrip("+").split("."))
        unknown = [] if is_group or override.is_add() else [self._unknown(path, plain, origin, text)]
        if unknown and unknown[0]:
            return [unknown[0]]
        if is_group and override.is_choice_sweep():
            wrong = self._unknown_options(override)
            if wrong:
                return wrong
        is_list = isinstance(origin.choices.get(key), list) or isinstance(_at(plain, path), list)
        together = f"{key}=[{value}] to have all of them, or "
        return [
            UserError(
                f"{text} is several values, and a run has one",
                where="the command line",
                fix=f"{together if is_list and override.is_choice_sweep() else ''}"
                f"runner train -m {text} to run each of them",
            )
        ]

    def _unknown_options(self, override: Override) -> list[UserError]:
        group = override.key_or_group
        wanted = list(override.sweep_string_iterator()) if override.is_choice_sweep() else override.value()
        names = wanted if isinstance(wanted, list) else [wanted]
        present = self.options(group)
        errors = []
        for name in names:
            if name is None or str(name) in present or str(name).startswith("["):
                continue
            close = nearest(str(name), present)
            errors.append(
                UserError(
                    f"{group}={name}: there is no such {group}",
                    expected=listing(present),
                    nearest=close,
                    fix=f"{group}={close}"
                    if close
                    else f"one of the above, or a file {group}/{name}.yaml in your own conf/",
                )
            )
        return errors

    def _unknown(self, path: tuple[str, ...], plain: Mapping[str, Any], origin: Origin, text: str) -> UserError | None:
        """The mistake in a key that the composed configuration does not have; None if it has it."""
        node: Any = plain
        for depth, part in enumerate(path):
            if isinstance(node, list) and part.isdigit():
                node = node[int(part)] if int(part) < len(node) else None
            elif isinstance(node, Mapping) and part in node:
                node = node[part]
            else:
                siblings = [str(key) for key in node] if isinstance(node, Mapping) else []
                taken = arguments(node, path[:depth], origin) if isinstance(node, Mapping) else []
                if part in taken:
                    return UserError(
                        f"{'.'.join(path)} is not in {origin.file_of(path)}",
                        where=f"{text} on the command line",
                        fix=f"+{text}, or a line for {part} in that file",
                    )
                siblings += taken
                if not depth:
                    siblings = [key for key in siblings if key != "hydra"] + ["experiment"]
                siblings = sorted(set(siblings) | known_keys(node, path[:depth])) if depth else siblings
                siblings = [name for name in siblings if name != "_target_"]
                elsewhere = [key for key in leaves(plain) if key.endswith(f".{part}")]
                return unknown_key(path[: depth + 1], siblings, origin, typed=text, elsewhere=elsewhere)
        return None


def _plain(config: DictConfig, *, resolve: bool) -> dict[str, Any]:
    found = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def read(typed: Sequence[str]) -> tuple[dict[str, Override], list[UserError]]:
    """What was typed as Hydra reads it, and what is wrong with what it cannot read."""
    found = {}
    errors = _without_equals([text for text in typed if "=" not in text and not text.startswith("~")])
    for text in typed:
        if "=" in text or text.startswith("~"):
            try:
                found[text] = OverridesParser.create().parse_override(text)
            except HydraException as error:  # also the base of OverrideParseException
                errors.append(
                    UserError(f"{text} cannot be read: {_first_line(error)}", expected="key=value", fix=QUOTING)
                )
    return found, errors


def _without_equals(words: Sequence[str]) -> list[UserError]:
    """What is wrong with words that are no overrides: ``epochs 5`` in place of ``epochs=5``."""
    errors = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key = key_called(word)
        value = rest.pop(0) if key and rest and key_called(rest[0]) is None else None
        errors.append(
            UserError(
                f"{word if value is None else f'{word} {value}'} cannot be read",
                expected="key=value",
                fix=f"{key}={value or 'VALUE'}" if key else QUOTING,
            )
        )
    return errors


def _at(config: Any, path: Sequence[str]) -> Any:
    """What stands at a path; None if nothing does."""
    for key in path:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def _by_key(typed: Sequence[str]) -> dict[str, str]:
    return {text.partition("=")[0].lstrip("+~"): text for text in typed}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


logging.getLogger("hydra").setLevel(logging.ERROR)
