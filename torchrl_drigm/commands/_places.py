"""The folder that a run is made in or goes on in, looked at before PyTorch is imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from torchrl_drigm._files import check_place
from torchrl_drigm.evaluation.files import results_of
from torchrl_drigm.trainers.checkpoint_files import check_whole
from torchrl_drigm.trainers.checkpoint_header import check_header, read_header
from torchrl_drigm.trainers.checkpoint_place import CONFIG, checkpoint_of, find_checkpoint
from torchrl_drigm.trainers.runs import (
    differences,
    is_done,
    locate_run,
    read_config,
    run_identity,
)

__all__ = ["check_resume", "check_run_dir", "check_writable", "has_results", "named_folder"]

_FIELDS = ("hydra.run.dir", "hydra.sweep.dir")


def check_resume(cfg: DictConfig) -> None:
    """Refuse a ``resume`` from which the run cannot go on.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if it is that of another config, has more steps already, keeps the policy alone,
            is none, or is damaged; or for an empty one.
    """
    if not str(cfg.resume).strip():
        raise ValueError("resume= has no value: name the folder of a run, or leave it out.")
    checkpoint = checkpoint_of(cfg.resume)
    try:
        found = find_checkpoint(checkpoint)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"resume={cfg.resume}: {error}") from error
    folder = checkpoint.parent
    if (folder / CONFIG).exists() and (
        differing := differences(run_identity(read_config(folder)), run_identity(cfg))
    ):
        raise ValueError(
            f"resume={cfg.resume}: that is a run of another config. Differing: "
            f"{'; '.join(differing)}. Resume with the overrides of the first run, which are in "
            f"its {CONFIG}."
        )
    _check_header(cfg, found, checkpoint, f"resume={cfg.resume}")


def check_run_dir(cfg: DictConfig, folder: str) -> None:
    """Refuse a folder in which another run is, or one that this one cannot go on with.

    Raises:
        ValueError: naming what differs, or what its checkpoint lacks.
    """
    _, checkpoint = locate_run(cfg, folder)
    if checkpoint is not None and not has_results(cfg, folder):
        _check_header(cfg, find_checkpoint(checkpoint), checkpoint, f"hydra.run.dir={folder}")


def has_results(cfg: DictConfig, folder: str | Path) -> bool:
    """Whether a run that is to be made in a folder is there, with its results.

    Raises:
        ValueError: if another run is there.
    """
    run_dir, _ = locate_run(cfg, folder)
    return is_done(cfg, run_dir, results_of(cfg))


def _check_header(cfg: DictConfig, found: Path, checkpoint: Path, field: str) -> None:
    total, copies = cfg.collector.total_frames, cfg.env.get("num_envs", 1)
    batch = -(-cfg.collector.frames_per_batch // copies) * copies  # as many of each copy
    try:
        check_header(read_header(found), checkpoint, run_identity(cfg), total, batch)
        check_whole(found)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def named_folder(overrides: Sequence[str], field: str) -> str | None:
    """The folder that the last override of a field names, if it names one by its path alone."""
    named = [word.removeprefix(f"{field}=") for word in overrides if word.startswith(f"{field}=")]
    if not named or "${" in named[-1]:
        return None
    return named[-1].strip("'\"")


def check_writable(overrides: Sequence[str], sweep: bool) -> None:
    """Refuse a folder that nothing can be written into.

    Args:
        overrides (sequence of str): as on a command line.
        sweep (bool): whether it is ``hydra.sweep.dir`` that counts.

    Raises:
        ValueError: naming the field, its value and what stands in the way.
    """
    field = _FIELDS[sweep]
    words = [word for word in overrides if word.startswith(f"{field}=")]
    value = words[-1].removeprefix(f"{field}=").strip("'\"") if words else "runs"
    known = value.partition("${")[0]  # what Hydra puts in is below that
    place = Path(known or ".").absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise ValueError(f"{field}={value}: {place} is no folder. Name another one.")
    check_place(f"{field}={value}", Path(known or "."))
