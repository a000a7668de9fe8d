"""What all runs of a reproduction have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from torchrl_drigm._files import atomic_path
from torchrl_drigm.tasks.version import environment_version

__all__ = ["check_manifest"]


def check_manifest(out: Path, settings: Mapping[str, Any], write: bool) -> None:
    """What all runs and results of a folder have in common, written down in ``reproduce.yaml``.

    Args:
        out (Path): the folder.
        settings (mapping): preset, fields, episodes; the version of the environment is added.
        write (bool): whether it is written where it is missing.

    Raises:
        ValueError: if the folder is one of other settings, naming the first that differs.
    """
    file = out / "reproduce.yaml"
    settings = {**settings, "environment": environment_version()}
    if file.exists():
        there = OmegaConf.to_container(OmegaConf.load(file))
        for name, value in settings.items():
            if there.get(name) != value:
                raise ValueError(
                    f"{file}: what is in {out} has {name}={there.get(name)!r}, and this would be "
                    f"{name}={value!r}. One table has one of them: name another folder with --out."
                )
    elif write:
        with atomic_path(file) as temporary:
            OmegaConf.save(OmegaConf.create(settings), temporary)
