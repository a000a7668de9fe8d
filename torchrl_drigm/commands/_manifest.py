"""What all runs of a reproduction have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from torchrl_drigm._files import atomic_path
from torchrl_drigm.evaluation.methods import NEUTRAL
from torchrl_drigm.tasks.version import environment_version

__all__ = ["check_manifest"]

SIMULATORS = "simulators"


def check_manifest(
    out: Path, settings: Mapping[str, Any], packages: Sequence[str], write: bool
) -> None:
    """What all runs and results of a folder have in common, written down in ``reproduce.yaml``.

    What the folder does not have yet, such as another simulator, is added.

    Args:
        out (Path): the folder.
        settings (mapping): preset (of what has one), fields, episodes; the version of the
            environment is added.
        packages (sequence of str): the simulators that are played in.
        write (bool): whether it is written.

    Raises:
        ValueError: if the folder is one of other settings, naming the first that differs, or its
            file is damaged.
    """
    file = out / "reproduce.yaml"
    settings = {**settings, "environment": environment_version()}
    simulators = _versions(packages)
    there = _read(file) if file.exists() else {}
    known = there.get(SIMULATORS, {})
    for before, now in ((there, settings), (known, simulators)):
        for name, value in now.items():
            if name in before and _plain(before[name]) != _plain(value):
                raise ValueError(
                    f"{file}: what is in {out} has {name}={before[name]!r}, and this would be "
                    f"{name}={value!r}. One table has one of them: name another folder with --out."
                )
    if write:
        with atomic_path(file) as temporary:
            noted = settings | there | {SIMULATORS: simulators | known}
            OmegaConf.save(OmegaConf.create(noted), temporary)


def _read(file: Path) -> dict[str, Any]:
    try:
        there = OmegaConf.to_container(OmegaConf.load(file))
        if there and isinstance(there, dict) and isinstance(there.get(SIMULATORS, {}), dict):
            return there
        told = "it is no mapping of settings"
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        told = f"{error}".splitlines()[0]
    raise ValueError(
        f"{file} is damaged ({told}): what the runs beside it have in common is not known. Move it "
        "away if you know that they fit, or name another folder with --out."
    )


def _plain(value: Any) -> Any:
    """Fields by what they come to, without those that change no result; others as they are.

    Examples:
        >>> _plain(["optim.lr=1e-3", "compile=true"]) == _plain(["optim.lr=0.001"])
        True
    """
    if not isinstance(value, list):
        return value
    pairs = (str(field).lstrip("+").partition("=") for field in value)
    return {name: _value(text) for name, _, text in pairs if name not in NEUTRAL - {"map_name"}}


def _value(text: str) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.create(f"of: {text}"))["of"]
    except (YAMLError, OmegaConfBaseException):
        return text


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """Those that are installed."""
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
