"""Where Hydra looks for configuration files."""

from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath

from runner.config.paths import Places

CONFIG_NAME = "config"
"""The file that a composition begins with."""


def search_path(places: Places) -> ConfigSearchPath:
    """The user's folders before the shipped one, so that an option of the user's replaces a shipped one of its name."""
    path = create_config_search_path(str(places.conf_dirs[-1]))
    for user in reversed(places.conf_dirs[:-1]):
        path.prepend(provider="user", path=f"file://{user}")
    return path
