"""Folders of runs, and which environment the run in each was trained and judged in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["environment_label", "find_runs", "group_by_environment", "slug"]

#: Fields of a config that say which environment it is; what else differs are settings of it.
FIELDS = ("env.name", "env.make", "env.kwargs.scenario", "env.building", "env.map_name")
UNKNOWN = "an environment that no config names"


def find_runs(folder: Path) -> list[Path]:
    """Folders at any depth with a config or an evaluation.

    Raises:
        FileNotFoundError: if there is none.
    """
    files = [*folder.rglob("config.yaml"), *folder.rglob("evaluation.csv")]
    runs = sorted({file.parent for file in files if file.parent.name != ".hydra"})
    if not runs:
        raise FileNotFoundError(
            f"no config.yaml and no evaluation.csv below {folder}: name folders of runs."
        )
    return runs


def environment_label(config: dict[str, Any]) -> str:
    """The environment of a config, by the fields that name it.

    Args:
        config: fields of a run's config by their dotted names.

    Examples:
        >>> environment_label({"env.name": "building", "env.building": "Hospital", "seed": 0})
        'env.name=building, env.building=Hospital'
        >>> paths = ({"env.make": f"cranes{mark}make_env"} for mark in ":.")
        >>> [environment_label(config) for config in paths]  # two spellings of one path
        ['env.make=cranes.make_env', 'env.make=cranes.make_env']
    """
    named = {field: config[field] for field in FIELDS if config.get(field) is not None}
    if "env.make" in named:
        named["env.make"] = str(named["env.make"]).replace(":", ".")
    return ", ".join(f"{field}={value}" for field, value in named.items()) or UNKNOWN


def group_by_environment(runs: Iterable[str]) -> dict[str, list[str]]:
    """Runs by the labels of their environments, both in the order in which they come.

    Args:
        runs: folders, each with a config that can be read.
    """
    from torchrl_drigm.evaluation.methods import read_config

    groups: dict[str, list[str]] = {}
    for run in runs:
        groups.setdefault(environment_label(read_config(Path(run))), []).append(run)
    return groups


def slug(label: str) -> str:
    """The label as the name of a folder: its values alone.

    Examples:
        >>> slug("env.name=building, env.building=my/office.htm")
        'building_my_office.htm'
    """
    values = [part.partition("=")[2] or part for part in label.split(", ")]
    return re.sub(r"[^\w.+-]+", "_", "_".join(values))
