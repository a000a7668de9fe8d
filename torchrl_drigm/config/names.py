"""Which names and sizes a config may have, as far as that is known without PyTorch.

What imports PyTorch looks names up once more, in what it has under them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from torchrl_drigm import _garages, _installed
from torchrl_drigm._days import check_days
from torchrl_drigm._modules import check_path, path_parts
from torchrl_drigm._named import find_class
from torchrl_drigm._vmas import MAKERS, unknown_argument
from torchrl_drigm.config.compose import config_path
from torchrl_drigm.config.packages import check_packages
from torchrl_drigm.envs.libs._building_climates import check_climates, check_ground
from torchrl_drigm.envs.libs._building_file import check_building
from torchrl_drigm.envs.libs._building_parameters import BuildingParameters
from torchrl_drigm.tasks._outlines import OUTLINES

__all__ = ["CHOICES", "check_device", "check_names", "class_names"]

#: What fields may say that have a few words to choose from.
CHOICES: dict[str, tuple[str, ...]] = {
    "env.team_reward": ("sum", "mean"),
    "env.team_state": ("observations",),
    "agent.core": ("gru", "lstm", "none"),
    "optim.name": ("adam", "rmsprop"),
    "exploration.per": ("agent", "team"),
    "uncertainty.dual_loss": ("linear", "squared"),
    "logger": ("csv", "tensorboard"),
}

# The module that knows a user's own classes by their names, once it has been imported.
_REGISTRIES = {
    "env.name": "torchrl_drigm.tasks.base",
    "mixer.name": "torchrl_drigm.trainers.mixers",
    "uncertainty.name": "torchrl_drigm.uncertainty.registry",
}

# Legal sizes of sets by their names.
_SHARE = "in [0, 1]", lambda rho: 0 <= rho <= 1
_RADIUS = "at least 0, and finite", lambda rho: 0 <= rho < float("inf")
SIZES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "contamination": _SHARE,
    "tv": _SHARE,
    "cvar": ("in [0, 1)", lambda rho: 0 <= rho < 1),
    "kl": _RADIUS,
    "chi2": _RADIUS,
}

_DEVICES = r"(cpu|cuda|mps|xpu)(:\d+)?"


def check_names(cfg: DictConfig) -> None:
    """Refuses names that nothing is called by.

    Args:
        cfg (DictConfig): a composed config that :func:`~torchrl_drigm.config.check_config` lets
            pass.

    Raises:
        ValueError: naming the field, its value and the names there are.

    Examples:
        >>> from torchrl_drigm.config import compose_config
        >>> check_names(compose_config("logger=paper"))
        Traceback (most recent call last):
        ValueError: logger='paper' must be one of csv, tensorboard.
    """
    for field, choices in CHOICES.items():
        value = OmegaConf.select(cfg, field)
        if value is not None and value not in choices:
            raise ValueError(f"{field}={value!r} must be one of {', '.join(choices)}.")
    for field, registry in _REGISTRIES.items():
        name = str(OmegaConf.select(cfg, field))
        if "." not in name and registry not in sys.modules:
            find_class(field, name, dict.fromkeys(class_names(field), object), object)
    if (make := OmegaConf.select(cfg, "env.make")) is not None:
        path_parts("env.make", str(make))
    for field in (*_REGISTRIES, "env.make"):
        if "." in (path := str(OmegaConf.select(cfg, field))) or ":" in path:
            check_path(field, path)
    relation, holds = SIZES.get(cfg.uncertainty.name, ("", lambda rho: True))
    rho = cfg.uncertainty.get("rho")
    if rho is not None and not holds(rho):
        raise ValueError(
            f"uncertainty.rho={rho} must be {relation} with "
            f"uncertainty.name={cfg.uncertainty.name!r}."
        )
    check_device("device", cfg.device)
    check_packages(cfg)
    _check_simulator(cfg)


def check_device(field: str, device: str) -> None:
    """Refuses a device that PyTorch has no word for, or that the one installed is not built for.

    Args:
        field (str): what errors call it.
        device (str): the device.

    Raises:
        ValueError: naming both.
    """
    if not re.fullmatch(_DEVICES, str(device)):
        raise ValueError(f"{field}={device!r} must be cpu, cuda, cuda:1 or such.")
    if str(device).startswith("cuda") and not _installed.torch_has_gpus():
        raise ValueError(
            f"{field}={device!r} cannot be used: the PyTorch that is installed is built for the "
            f"CPU. Set {field}=cpu, or install a build for GPUs."
        )


def class_names(field: str) -> list[str]:
    """Names of the package's own classes: tasks with an outline, and files of a choice's folder.

    Examples:
        >>> class_names("mixer.name")
        ['qmix', 'qtran', 'vdn']
    """
    if field == "env.name":
        return sorted(OUTLINES)
    files = (config_path() / field.partition(".")[0]).glob("*.yaml")
    return sorted(file.stem for file in files if file.stem != "own")


def _check_simulator(cfg: DictConfig) -> None:
    """Names that a simulator gives, where its files tell them."""
    env = cfg.env
    if env.name == "building":
        try:
            check_days(tuple(env.days), env.wrap_days)
            _check_building(OmegaConf.to_container(env, resolve=True))
        except (ValueError, OSError) as error:
            named = re.match(r"\w+(\[|=|: )", str(error))  # or it begins with a weather file
            raise ValueError(f"env.{'' if named else 'climates: '}{error}") from error
    elif env.name == "evcharging":
        garages = OmegaConf.to_container(env.garages)
        try:
            _garages.check_garages(garages)
            if env.days is not None:
                _garages.check_days(list(env.days), garages)
        except ValueError as error:
            raise ValueError(f"env.{error}") from error
    elif env.name in ("smax", "smac"):
        field = "env.map_name" if cfg.get("map_name") is None else "map_name"
        _check_known(field, OmegaConf.select(cfg, field), _installed.maps(env.name))
    elif str(env.get("make")).endswith("VmasEnv"):
        scenario = OmegaConf.select(env, "kwargs.scenario")
        _check_known("env.kwargs.scenario", scenario, _installed.scenarios())
        discrete = not env.kwargs.get("continuous_actions", True)  # VMAS's own default
        if not discrete and str(env.make).replace(":", ".") in MAKERS:
            raise ValueError(
                "env.kwargs.continuous_actions=true: value factorization chooses among finitely "
                "many actions. Set env.kwargs.continuous_actions=false."
            )
        if wrong := unknown_argument(str(env.make), scenario, env.kwargs):
            raise ValueError(f"env.kwargs: {wrong}")


def _check_building(env: Mapping[str, Any]) -> None:
    """What is the user's own of a building, and its files: read without PyTorch or SustainGym."""
    own = {name: env[name] for name in BuildingParameters.names() if name in env}
    parameters, climates = BuildingParameters(**own), [tuple(one) for one in env["climates"]]
    check_building(env["building"], parameters)
    check_climates(climates, parameters)
    check_ground(climates, parameters)


def _check_known(field: str, value: object, names: Sequence[str] | None) -> None:
    if names is not None and isinstance(value, str) and value not in names:
        raise ValueError(f"{field}={value!r} is unknown; valid names: {', '.join(names)}.")
