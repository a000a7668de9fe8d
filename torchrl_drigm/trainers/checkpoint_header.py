"""What a checkpoint says of itself, read without PyTorch: whose it is, and how far the run came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchrl_drigm.trainers.checkpoint_files import MANIFEST, STATE, VALUE
from torchrl_drigm.trainers.checkpoint_version import (
    LIST,
    check_written_version,
    damaged,
    read_json,
)
from torchrl_drigm.trainers.runs import RUN, SIZES, check_version, differences

__all__ = ["Header", "check_header", "read_header"]

PROGRESS = "trainer_state"


@dataclass(frozen=True)
class Header:
    """What can be known of a checkpoint before its numbers are read.

    Attributes:
        components: names of its parts.
        identity: the config of its run, as far as it must agree; empty where it names no run.
        frames: environment steps behind it; 0 where it does not say.
    """

    components: frozenset[str]
    identity: Mapping[str, Any]
    frames: int


def read_header(folder: Path) -> Header:
    """The header of a checkpoint's folder, whose other files are not looked at.

    Args:
        folder (Path): as :func:`~torchrl_drigm.trainers.checkpoint_place.find_checkpoint` finds it.

    Raises:
        ValueError: if it is no checkpoint of this package, or of a newer version, or its header is
            damaged.
    """
    if not folder.is_dir():
        raise ValueError(f"cannot load {folder}: it is no readable checkpoint, which is a folder.")
    if not (folder / LIST).is_file():
        below = sorted(folder.glob("*/checkpoint"), key=lambda path: path.stat().st_mtime)
        meant = f" The newest one below is {below[-1]}." if below else ""
        raise ValueError(
            f"cannot load {folder}: it is damaged, not one of a torchrl_drigm run, or from a "
            f"version that wrote no {LIST}. Name the folder of a run, or its 'checkpoint'.{meant}"
        )
    check_written_version(folder)
    try:
        paths = {
            name: record["path"]
            for name, record in read_json(folder, MANIFEST)["components"].items()
        }
        identity = read_json(folder, f"{paths[RUN]}/{VALUE}") if RUN in paths else {}
        frames = 0
        if PROGRESS in paths:
            items = read_json(folder, f"{paths[PROGRESS]}/{STATE}")["items"]
            frames = {key["value"]: value for key, value in items}["collected_frames"]["value"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ValueError) and str(folder) in str(error):
            raise
        raise damaged(folder, f"what it says of its run cannot be read: {error!r}") from error
    return Header(frozenset(paths), identity, int(frames))


def check_header(
    header: Header, path: Path, identity: Mapping[str, Any], total_frames: int, batch: int
) -> None:
    """Refuse a checkpoint from which the run of a config cannot go on.

    Args:
        header (Header): of the checkpoint.
        path (Path): where it lies, for the message.
        identity (mapping): that of the config, :func:`~torchrl_drigm.trainers.runs.run_identity`;
            sizes of the environment are compared where they stand in it.
        total_frames (int): environment steps that the run is to make.
        batch (int): steps between two updates, of which the last are made whole.

    Raises:
        ValueError: if it has nothing to learn on with, is of another config (the fields that differ
            are listed), or has more steps already.
    """
    refusal = f"cannot resume from {path}"
    if RUN not in header.components:
        raise ValueError(
            f"{refusal}: it is a checkpoint, but not one of a torchrl_drigm run. Name the "
            "'checkpoint' folder of a run."
        )
    if PROGRESS not in header.components:
        raise ValueError(
            f"{refusal}: it holds the policy alone, as `export --keep policy` leaves it, and "
            "nothing to learn on with. Start the run anew in another folder."
        )
    check_version(refusal, header.identity)
    there = {k: v for k, v in header.identity.items() if k != SIZES or SIZES in identity}
    differing = differences(there, identity)
    if differing and all(field.startswith(f"{SIZES}.") for field in differing):
        named = there["env"].get("building", there["env"]["name"])
        raise ValueError(
            f"{refusal}: the environment has other sizes now, and the config is the same. "
            f"Differing: {'; '.join(differing)}. What it names, {named!r}, has changed since: put "
            "it back, or train anew in another folder."
        )
    if differing:
        raise ValueError(
            f"{refusal}: it belongs to another config. Differing: {'; '.join(differing)}. Resume "
            "with the overrides of the first run, which are in its config.yaml."
        )
    # the last batch is a whole one; who ended with it may have been stopped while being judged
    if header.frames > math.ceil(total_frames / batch) * batch:
        raise ValueError(
            f"{refusal}: it has {header.frames} steps behind it already, more than "
            f"collector.total_frames={total_frames}. Ask for at least as many, or start the run "
            "anew in another folder."
        )
