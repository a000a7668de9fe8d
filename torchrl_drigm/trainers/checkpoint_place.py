"""Where a checkpoint lies, which a save that was killed may have left beside its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["CONFIG", "checkpoint_of", "find_checkpoint", "recover", "saving_folder"]

CONFIG = "config.yaml"  # of a run's folder


def checkpoint_of(resume: str | Path) -> Path:
    """The checkpoint that ``resume`` names: itself, or by the folder of its run.

    Examples:
        >>> checkpoint_of("runs/a/checkpoint").as_posix()
        'runs/a/checkpoint'
    """
    path = Path(resume)
    if (path / CONFIG).is_file() or (path / "checkpoint").is_dir():
        return path / "checkpoint"
    return path if path.name else path.absolute()  # "." has no name, and what is beside it has one


def saving_folder(path: Path) -> Path:
    """Where a save makes a checkpoint, before it takes its place."""
    return path.parent / f".{path.name}.saving"


def find_checkpoint(path: str | Path) -> Path:
    """Where the checkpoint of ``path`` lies: there, or where a killed save left it.

    Raises:
        FileNotFoundError: if there is none.
    """
    path = Path(path)
    for place in (path, saving_folder(path) / "new", saving_folder(path) / "old"):
        if place.exists():
            return place
    raise FileNotFoundError(f"no checkpoint at {path}: name the 'checkpoint' folder of a run.")


def recover(path: Path) -> None:
    """Put the checkpoint that a killed save left into its place, and clear up after that save."""
    saving = saving_folder(path)
    if not saving.exists():
        return
    if not path.exists() and (saving / "new").exists():
        os.replace(saving / "new", path)
    elif not path.exists() and (saving / "old").exists():
        os.replace(saving / "old", path)
    shutil.rmtree(saving)
