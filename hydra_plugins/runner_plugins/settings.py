"""Lets other programs choose ``hydra/launcher=local`` and the like; runner itself reads the files of its ``conf/``."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from runner.config.paths import shipped_conf


class ShippedSettings(SearchPathPlugin):
    """Gives Hydra the settings of the plug-ins, with the defaults in the files that explain them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called once for each program; the search path stays as it is."""
        folders = [Path((entry.path or "").removeprefix("file://")) for entry in search_path.get_path()]
        if any((folder / "hydra" / "launcher" / "local.yaml").is_file() for folder in folders):
            return
        for file in sorted((shipped_conf() / "hydra").glob("*/*.yaml")):
            group = f"hydra/{file.parent.name}"
            ConfigStore.instance().store(group=group, name=file.stem, node=OmegaConf.load(file), provider="runner")
