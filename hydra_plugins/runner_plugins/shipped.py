"""The settings of the plug-ins with their defaults, from the files that explain them."""

from omegaconf import DictConfig, OmegaConf

from runner.config.paths import shipped_conf


def shipped_node(name: str) -> DictConfig:
    """The node in ``conf/hydra/NAME.yaml``, such as ``launcher/local``."""
    node = OmegaConf.load(shipped_conf() / "hydra" / f"{name}.yaml")
    assert isinstance(node, DictConfig)
    return node
