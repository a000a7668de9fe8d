"""A run's config without a command line."""

import copy
import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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
    was. Files of the package are read once in a process, those of ``hydra.searchpath`` each time.

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
    cfg = _from_its_choices(config, overrides)
    return _compose(config, overrides) if cfg is None else cfg


def _compose(config: str, overrides: Sequence[str]) -> DictConfig:
    with composing(config, overrides) as words:
        return compose(config, overrides=words)


def _from_its_choices(config: str, overrides: Sequence[str]) -> DictConfig | None:
    """The values set in a config of the same files, which Hydra has composed once.

    Hydra takes a fifth of a second for a config, most of it for reading and merging files; the
    values of fields come last. What is not that simple, or wrong, is left to Hydra: ``None``.
    """
    kinds = [_kind(word) for word in overrides]
    if not (config_path() / f"{config}.yaml").is_file() or None in kinds:
        return None
    choices, values = (
        [word for word, own in zip(overrides, kinds, strict=True) if own == kind]
        for kind in ("choice", "value")
    )
    try:
        cfg = copy.deepcopy(_of_choices(config, *choices))
        for override in OverridesParser.create().parse_overrides(values):
            field, added = override.key_or_group, override.is_add()
            if override.is_sweep_override() or (added and OmegaConf.select(cfg, field) is not None):
                return None
            OmegaConf.update(cfg, field, override.value(), merge=True, force_add=added)
    except (HydraException, OmegaConfBaseException):
        return None
    return cfg


@functools.lru_cache(256)
def _of_choices(config: str, *choices: str) -> DictConfig:
    return _compose(config, choices)


def _kind(word: str) -> str | None:
    """``"choice"`` of a file of the package, ``"value"`` of a field, or ``None`` for all others."""
    field, _, given = word.partition("=")
    if (config_path() / field / f"{given}.yaml").is_file():
        return "choice"
    if re.fullmatch(r"\+?[a-z_][\w.]*", field) and not field.startswith("hydra."):
        return None if (config_path() / field.removeprefix("+")).is_dir() else "value"
    return None


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
