"""Packages that a config needs: looked for on disk, as importing one takes seconds."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

__all__ = ["check_packages"]

_VMAS = ("vmas",), "VMAS", "vmas"
# Of what no registry has under that name, or what is no extra.
_OTHERS = {
    "smac": 'pip install "torchrl_drigm[smac]" && pip install --no-deps '
    "git+https://github.com/oxwhirl/smac.git (what package registries call smac is another "
    "project).",
    "pettingzoo": "pip install pettingzoo installs it.",
}

# By the value of a field: packages, or folders in them, what they are called, and the extra.
_NEEDED: dict[tuple[str, str], tuple[tuple[str, ...], str, str]] = {
    ("env.name", "building"): (("sustaingym", "pvlib"), "SustainGym", "sustaingym"),
    ("env.name", "evcharging"): (
        ("sustaingym", "acnportal", "sklearn", "pandas"),
        "SustainGym's EV charging",
        "evcharging",
    ),
    ("env.name", "smax"): (("jax", "jaxmarl"), "JaxMARL", "smax"),
    ("env.name", "smac"): (("smac.env.starcraft2", "pysc2"), "StarCraft's smac package", "smac"),
    ("env.make", "torchrl.envs.VmasEnv"): _VMAS,
    ("env.make", "torchrl_drigm.envs.NoisyVmasEnv"): _VMAS,
    ("env.make", "torchrl.envs.PettingZooEnv"): (("pettingzoo",), "PettingZoo", "pettingzoo"),
    ("logger", "tensorboard"): (("tensorboard",), "TensorBoard", "tensorboard"),
}


def check_packages(cfg: DictConfig) -> None:
    """Refuses a config whose simulator or logger is not installed.

    Raises:
        ValueError: naming the field, its value, what is missing and how it is installed.
    """
    for (field, value), (packages, label, extra) in _NEEDED.items():
        if str(OmegaConf.select(cfg, field)).replace(":", ".") != value:
            continue
        if missing := [name for name in packages if not _is_there(name)]:
            what = "" if missing == list(packages) else f", of which {missing[0]} is missing"
            if extra in _OTHERS:
                raise ValueError(f"{field}={value!r} needs {label}{what}: {_OTHERS[extra]}")
            raise ValueError(
                f'{field}={value!r} needs {label}{what}: pip install "torchrl_drigm[{extra}]" '
                "installs it."
            )
    if cfg.env.name == "smac":
        _check_game()


def _is_there(name: str) -> bool:
    """Whether a package is, and a folder in it."""
    package, *folders = name.split(".")
    try:
        found = find_spec(package)
    except ValueError:  # something of that name has been imported that has no files
        return True
    if found is None or not folders:
        return found is not None
    places = found.submodule_search_locations or ()
    return any(Path(place, *folders).is_dir() for place in places)


def _check_game() -> None:
    """The folder in which pysc2 looks for StarCraft II on Linux."""
    path = os.environ.get("SC2PATH")
    if sys.platform == "linux" and not Path(path or "~/StarCraftII").expanduser().is_dir():
        where = f"SC2PATH={path}" if path else "~/StarCraftII, as SC2PATH is not set"
        raise ValueError(
            f"env.name='smac' needs StarCraft II, and there is no folder {where}. Install the game "
            "(https://github.com/Blizzard/s2client-proto, Linux packages) and set SC2PATH."
        )
