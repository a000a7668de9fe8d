"""A run's config without a command line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase
from omegaconf import DictConfig

__all__ = ["compose_config", "config_path"]

_SEARCH = "hydra.searchpath="


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
    with composing(config, overrides) as words:
        return compose(config, overrides=words)


@contextmanager
def composing(config: str, overrides: Sequence[str]) -> Iterator[list[str]]:
    """Hydra with the package's configs, and the overrides to give it.

    Its global state is afterwards as it was. Hydra 1.3.8 looks for the config itself before it
    follows ``hydra.searchpath``: one that lies in such a folder is composed from there.

    Args:
        config (str): name of the config.
        overrides (sequence of str): as on a command line.
    """
    hydra, version = GlobalHydra.instance(), VersionBase.instance()
    outer, outer_version = hydra.hydra, version.getbase()
    hydra.clear()
    folder = _folder_of(config, overrides)
    words = list(overrides)
    if folder is not None:
        package = f",pkg://{__package__}]"  # behind the folders that are looked into
        words = [w.rstrip("]") + package if w.startswith(_SEARCH) else w for w in words]
    try:
        if folder is None:
            source = initialize_config_module(__package__, version_base="1.3")
        else:
            source = initialize_config_dir(str(folder), version_base="1.3")
        with source:
            yield words
    finally:
        # Hydra restores a copy of its global state
        GlobalHydra.instance().hydra, version.version_base = outer, outer_version


def _folder_of(config: str, overrides: Sequence[str]) -> Path | None:
    """The first folder of ``hydra.searchpath`` that has the config."""
    for word in overrides:
        if word.startswith(_SEARCH):
            places = word.removeprefix(_SEARCH).strip("[]").split(",")
            for place in places:
                folder = Path(place.strip(" '\"").removeprefix("file://")).absolute()
                if (folder / f"{config}.yaml").is_file():
                    return folder
    return None
