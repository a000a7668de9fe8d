"""A run's config without a command line."""

from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase
from omegaconf import DictConfig

__all__ = ["compose_config", "config_path"]


def config_path() -> Path:
    """The folder of the YAML files.

    Examples:
        >>> (config_path() / "preset" / "paper.yaml").exists()
        True
    """
    return Path(__file__).parent


def compose_config(*overrides: str, config: str = "building") -> DictConfig:
    """The config that an example composes from the same overrides, for scripts and notebooks.

    May be called anywhere, also within a ``hydra.main``: Hydra's global state is afterwards as it
    was.

    Args:
        *overrides (str): as on a command line. ``"hydra.searchpath=[folder]"`` is
            ``--config-dir=folder``.
        config (str): ``"building"``, ``"battles"``, ``"torchrl"`` or one of your own in such a
            folder. Default: ``"building"``.

    Returns:
        DictConfig: typed by the dataclasses of :mod:`torchrl_drigm.config.schema`, so that a later
        assignment is checked as well.

    Raises:
        hydra.errors.ConfigCompositionException: for a field or a choice that does not exist, or a
            value of another type; the message has the field's full name.

    Examples:
        >>> cfg = compose_config("mixer=vdn", "uncertainty.rho=0.1", "preset=paper")
        >>> cfg.mixer.name, cfg.uncertainty.rho, cfg.optim.gamma
        ('vdn', 0.1, 0.997)
        >>> compose_config(config="battles").env.map_name
        '3s_vs_5z'
    """
    hydra, version = GlobalHydra.instance(), VersionBase.instance()
    outer, outer_version = hydra.hydra, version.getbase()
    hydra.clear()
    try:
        with initialize_config_module(__package__, version_base="1.3"):
            return compose(config, overrides=list(overrides))
    finally:
        # Hydra restores a copy of its global state
        GlobalHydra.instance().hydra, version.version_base = outer, outer_version
