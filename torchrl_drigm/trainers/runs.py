"""The folder of a run: whose it is, who writes into it, and where the run goes on."""

from __future__ import annotations

import errno
import json
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from torchrl_drigm._files import atomic_path
from torchrl_drigm._signals import STOPPED, tell
from torchrl_drigm.config.added import ADDED
from torchrl_drigm.trainers.checkpoint_place import (
    CONFIG,
    checkpoint_of,
    find_checkpoint,
    recover,
)

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

__all__ = [
    "check_version",
    "claim_run",
    "differences",
    "has_ended",
    "is_done",
    "locate_run",
    "read_code",
    "read_config",
    "read_duration",
    "run_identity",
    "save_config",
    "save_duration",
]

RUN = "torchrl_drigm_run"  # of a checkpoint: the part that says whose it is
SIZES = "sizes"  # of that: the sizes of the team's environment

CLAIM = ".claim"
DURATION = "duration.json"
# What must agree between a checkpoint and the run that resumes from it. The length of the run, its
# logger and its folder may differ.
IDENTITY = (
    "env",
    "agent",
    "mixer",
    "uncertainty",
    "optim",
    "replay",
    "exploration",
    "target",
    "seed",
    "collector.frames_per_batch",
    "collector.init_random_frames",
)

_DAMAGED = (
    "it is damaged, or of something else. Put back the run's config (.hydra/overrides.yaml there "
    "has its overrides), or name another folder."
)


def run_identity(cfg: DictConfig) -> dict[str, Any]:
    """The part of a config that a checkpoint and the run that resumes from it must share."""
    identity = {}
    for name in IDENTITY:
        value = OmegaConf.select(cfg, name)
        is_group = OmegaConf.is_config(value)
        identity[name] = OmegaConf.to_container(value, resolve=True) if is_group else value
    return identity


def check_version(refusal: str, identity: Mapping[str, Any]) -> None:
    """Refuse the checkpoint of a version that did not write the sizes of its team.

    Args:
        refusal (str): what cannot be done, for the message.
        identity (mapping): what a checkpoint says of its run.
    """
    if SIZES not in identity:
        raise ValueError(
            f"{refusal}: its checkpoint was written by an earlier version of torchrl_drigm, in "
            "another form. Use that version for it, or train anew."
        )


def differences(there: Any, here: Any, field: str = "") -> list[str]:
    """What differs between two identities, as ``"field: value there, value here"``.

    A field that one of them lacks is what it was before there was such a field.
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        differing = []
        for key in sorted({*there, *here}):
            name = f"{field}.{key}" if field else str(key)
            before = ADDED.get(name)
            differing += differences(there.get(key, before), here.get(key, before), name)
        return differing
    return [] if there == here else [f"{field}: {there!r} there, {here!r} here"]


@contextmanager
def claim_run(cfg: DictConfig, run_dir: str | Path) -> Iterator[tuple[Path, Path | None]]:
    """The folder of a run and the checkpoint to go on from, for this process alone.

    No other run can claim the folder until the block ends, or the process does, however it ends:
    the claim is a lock of the operating system on the folder's file ``.claim``. What a killed save
    left in the folder is put right.

    Args:
        cfg (DictConfig): the composed config.
        run_dir (str or Path): folder for a new run; see :func:`locate_run`.

    Yields:
        tuple: what :func:`locate_run` returns.

    Raises:
        FileNotFoundError: if there is no checkpoint at ``resume``.
        ValueError: if another run is writing into the folder, or it is that of a run of another
            config or seed.
    """
    if cfg.resume is not None:
        checkpoint = checkpoint_of(cfg.resume)
        find_checkpoint(checkpoint)
        folder = checkpoint.parent
    else:
        folder, checkpoint = Path(run_dir), Path(run_dir) / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / CLAIM).open("a+") as file:
        _lock(file, folder)
        recover(checkpoint)
        found = locate_run(cfg, run_dir)
        try:
            yield found
        except STOPPED as error:  # while it was built or judged
            if checkpoint.exists():
                tell(error, folder, f"Stopped; {folder} has a checkpoint.")
            raise


def _lock(file, folder: Path) -> None:
    """Lock an open file until it is closed, and leave in it who did."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOTSUP, "no locks")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "another process"
        raise ValueError(
            f"{folder} belongs to a run that is going on ({owner}). Name another folder "
            "(hydra.run.dir, hydra.sweep.dir), or wait until that run has ended."
        ) from error
    except OSError as error:
        warnings.warn(
            f"{folder} cannot be locked ({error}): see to it yourself that no other run writes "
            "there.",
            stacklevel=2,
        )
        return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()


def locate_run(cfg: DictConfig, run_dir: str | Path) -> tuple[Path, Path | None]:
    """The folder of a run, and the checkpoint to go on from.

    A run that resumes from a checkpoint (``resume``, which may be the folder of that run) goes on
    in that run's folder. One whose
    folder has a checkpoint already, such as a run of a sweep that was stopped, goes on from it.
    :func:`claim_run` does the same, and keeps other runs out of the folder.

    Args:
        cfg (DictConfig): the composed config.
        run_dir (str or Path): folder for a new run.

    Returns:
        tuple: the folder, and the checkpoint or ``None``.

    Raises:
        ValueError: if the folder is that of a run of another config or seed.
    """
    if cfg.resume is not None:
        checkpoint = checkpoint_of(cfg.resume)
        return checkpoint.parent, checkpoint
    run_dir = Path(run_dir)
    if (run_dir / CONFIG).exists():
        there = read_config(run_dir)
        differing = differences(run_identity(there), run_identity(cfg))
        if differing:
            raise ValueError(
                f"{run_dir} holds another run. Differing: {'; '.join(differing)}. Name another "
                "folder, or give the overrides of the first time."
            )
    try:
        find_checkpoint(run_dir / "checkpoint")
    except FileNotFoundError:
        return run_dir, None
    return run_dir, run_dir / "checkpoint"


def is_done(cfg: DictConfig, run_dir: str | Path, results: str) -> bool:
    """Whether a run that is started once more has its results already.

    They must be of as many steps and of the same evaluation.

    Args:
        cfg (DictConfig): the composed config.
        run_dir (str or Path): folder of the run.
        results (str): name of the file that the run writes last.
    """
    run_dir = Path(run_dir)
    if cfg.resume is not None or not (run_dir / results).exists():
        return False
    if not (run_dir / CONFIG).exists():  # nobody knows of which run, so they stay
        return True
    there = read_config(run_dir)
    return there.collector.total_frames == cfg.collector.total_frames and there.get(
        "evaluation"
    ) == cfg.get("evaluation")


def read_config(run_dir: str | Path) -> DictConfig:
    """The config that a run left in its folder, as data.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, or is of something else.
    """
    path = Path(run_dir) / CONFIG
    if not path.exists():
        raise FileNotFoundError(
            f"no {CONFIG} in {run_dir}: name the folder of a run{_meant(path)}."
        )
    try:
        there = OmegaConf.load(path)
        fields = (*IDENTITY, "collector.total_frames")
        missing = [field for field in fields if OmegaConf.select(there, field) is None]
    except Exception as error:
        raise ValueError(f"{path} cannot be read ({error}): {_DAMAGED}") from error
    if missing:
        raise ValueError(f"{path} lacks {missing}: {_DAMAGED}")
    return there


def _meant(path: Path) -> str:
    """Which folder of a run may be meant by another one."""
    if path.parent.name == "checkpoint" and path.parent.with_name(CONFIG).exists():
        return f", which is {path.parent.parent}"
    if (path.parent / "network_parameter").is_dir():
        return "; these are published networks, which load_released_team loads"
    below = sorted(path.parent.glob(f"[!.]*/{CONFIG}"))  # not Hydra's own
    return f", such as {below[-1].parent}" if below else ""


def save_config(cfg: DictConfig, run_dir: str | Path) -> None:
    """Write ``config.yaml`` into a run's folder, whole or not at all."""
    with atomic_path(Path(run_dir) / CONFIG) as temporary:
        OmegaConf.save(cfg, temporary)


def save_duration(run_dir: str | Path, frames: int, steps: int, seconds: float, code: str) -> None:
    """Note how long training took, and of which code it was.

    Args:
        run_dir (str or Path): folder of the run.
        frames (int): environment steps of the run so far.
        steps (int): those of them that took the ``seconds``; the others are of before it resumed.
        seconds (float): of training.
        code (str): commit or version that the steps were made with.
    """
    with atomic_path(Path(run_dir) / DURATION) as temporary:
        noted = {"frames": frames, "steps": steps, "seconds": seconds, "code": code}
        temporary.write_text(json.dumps(noted))


def read_duration(run_dir: str | Path) -> dict[str, float] | None:
    """Numbers that :func:`save_duration` noted; ``None`` if nothing legible is there."""
    try:
        noted = json.loads((Path(run_dir) / DURATION).read_text())
        return {name: float(noted[name]) for name in ("frames", "steps", "seconds")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_code(run_dir: str | Path) -> str | None:
    """Commit or version that a run was trained with; ``None`` of versions that did not note it."""
    try:
        return json.loads((Path(run_dir) / DURATION).read_text())["code"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def has_ended(cfg: DictConfig, run_dir: str | Path, results: str) -> bool:
    """Whether the run in a folder has made all of its steps.

    Args:
        cfg (DictConfig): its config.
        run_dir (str or Path): the folder.
        results (str): name of the file that the run writes last; it counts for runs of versions
            that noted no duration.
    """
    noted = read_duration(run_dir)
    if noted is None:
        return (Path(run_dir) / results).exists()
    return noted["frames"] >= cfg.collector.total_frames
