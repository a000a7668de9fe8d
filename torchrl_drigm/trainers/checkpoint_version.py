"""Whether a run's folder has a checkpoint that this version can read, found without PyTorch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from torchrl_drigm import __version__
from torchrl_drigm.trainers.checkpoint_place import find_checkpoint

__all__ = ["LIST", "check_there", "check_written_version", "damaged", "read_json"]

LIST = "files.json"


def check_there(run_dir: Path, cfg: DictConfig) -> None:
    """Refuse a folder without a checkpoint, or with one of a newer version, whose config differs.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if it was written by a newer version.
    """
    path = run_dir / "checkpoint"
    try:
        folder = find_checkpoint(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no checkpoint at {path}: the run was stopped before it wrote its first one "
            f"(checkpoint_interval={cfg.get('checkpoint_interval')} steps), or was copied without "
            f"it. Train it once more in that folder, with hydra.run.dir={run_dir}, or copy all of "
            "it."
        ) from error
    if (folder / LIST).is_file():
        check_written_version(folder)


def check_written_version(folder: Path) -> None:
    """Refuse what a newer version wrote, which may mean something else by it.

    Args:
        folder (Path): of a checkpoint, with its list.

    Raises:
        ValueError: for a newer version, or a list that cannot be read.
    """
    written = read_json(folder, LIST).get("version")
    if written is None:  # as versions wrote it that named none
        return
    if not isinstance(written, str) or not re.match(r"\d+\.\d+(\.|$)", written):
        raise damaged(folder, f"{LIST} has version={written!r}, which is none")
    if _major_minor(written) > _major_minor(__version__):
        raise ValueError(
            f"cannot load {folder}: {LIST} has version={written!r}, and this is torchrl_drigm "
            f"{__version__}, which does not know what a newer one writes. Install "
            f"torchrl_drigm>={written}."
        )


def _major_minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def damaged(folder: Path, what: str) -> ValueError:
    """An error that says what of a checkpoint is damaged."""
    return ValueError(
        f"cannot load {folder}: it is damaged ({what}). Take another copy of it, or start the run "
        "anew."
    )


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint.

    Raises:
        ValueError: if it is none.
    """
    try:
        value = json.loads((folder / name).read_bytes(), object_pairs_hook=_without_duplicates)
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(folder, f"{name} cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise damaged(folder, f"{name} is no JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers might each take another one of two values of the same name."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)
