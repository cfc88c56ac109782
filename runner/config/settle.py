"""From what Hydra put together to plain values: filled in by the data, resolved and checked."""

import os
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.config.check import as_read, mistakes, value_at
from runner.config.facts import fill_facts
from runner.config.files import ConfigFiles
from runner.config.fit import misfits
from runner.config.keys import stray_keys
from runner.config.origin import Origin
from runner.config.references import leading_nowhere, missing, texts_in
from runner.config.typed import by_key
from runner.errors import UserError


def settled(
    files: ConfigFiles, composed: DictConfig, typed: Sequence[str], of_data_alone: bool
) -> tuple[list[UserError], dict[str, Any]]:
    """Every mistake in a configuration, and its values.

    Args:
        files: That it was put together from.
        composed: What Hydra gave.
        typed: The overrides in it.
        of_data_alone: Whether it does not matter what is trained on the data.
    """
    choices = files.choices(composed, typed)
    origin = Origin(files.places, choices, by_key(typed))
    config = OmegaConf.create({key: node for key, node in composed.items_ex(resolve=False) if key != "hydra"})
    texts = plain(config, resolve=False)
    for path, text in texts_in(texts):
        if text.startswith("~/"):  # as a shell does: a folder called ~ is what nobody wants
            value_at(config, path[:-1])[path[-1]] = os.path.expanduser(text)
    errors = missing(texts, origin)
    broken = leading_nowhere(config, texts, origin)
    if broken:
        return errors + broken, {}
    errors += fill_facts(config, origin)
    if config.get("name") == "auto":
        config.name = f"{choices.get('model')}-{choices.get('data')}"
    values = plain(config, resolve=True)
    known = {str(error).split(" ", 1)[0] for error in errors}
    errors += [error for error in mistakes(values, origin) if str(error).split("=", 1)[0] not in known]
    errors += [error for error in stray_keys(values, origin) if str(error) not in map(str, errors)]
    errors = errors or misfits(values, origin, of_data_alone)
    return errors, values if errors else as_read(values)


def plain(config: DictConfig, *, resolve: bool) -> dict[str, Any]:
    """A configuration as dictionaries and lists; references stay texts, unless they are resolved."""
    found = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
